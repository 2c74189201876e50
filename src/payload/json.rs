//! JSON whose numbers keep their digits.

use std::borrow::Cow;

use serde_json::Value;

#[cfg(test)]
mod tests;

/// Parses JSON. A number that neither 64 bits nor a float can hold becomes a string of its digits, instead of another
/// number.
///
/// # Errors
/// The text is not JSON.
pub fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(&with_quoted_numbers(text))
}

/// The text with quotes around each number that would lose digits.
fn with_quoted_numbers(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let end = at + bytes[at..].iter().take_while(is_part).count();
                if loses_digits(&text[at..end]) {
                    out.extend([&text[copied..at], "\"", &text[at..end], "\""]);
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The position after the string that begins here.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether a text is a number of JSON (RFC 8259, section 6) that would be read as another one.
fn loses_digits(text: &str) -> bool {
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_number = [whole, fraction, exponent].iter().all(|part| is_digits(part));
    if !is_number || (whole.starts_with('0') && whole.len() > 1) {
        return false;
    }
    if is_digits(text.strip_prefix('-').unwrap_or(text)) {
        return text.parse::<u64>().is_err() && text.parse::<i64>().is_err();
    }
    let is_zero = |float: f64| float.abs() < f64::MIN_POSITIVE;
    let has_value = digits.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    text.parse::<f64>().is_ok_and(|float| float.is_infinite() || (is_zero(float) && has_value))
}

/// Whether a text has digits only, and at least one.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
