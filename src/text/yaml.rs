//! YAML output that parsers of versions 1.1 and 1.2 read alike. Version 1.1, which Ruby, Puppet and `PyYAML` use, reads
//! unquoted words such as `no` and `10:20` as something other than text. Every string is therefore double-quoted.

use std::fmt::Write as _;

use serde::Serialize;
use serde::ser::Error as _;
use serde_norway::{Error, Number, Value};

#[cfg(test)]
mod tests;

/// The longest key before a colon, in bytes. The specification allows 1,024 (7.4.2).
const MAX_KEY: usize = 1000;

/// Formats a value as a YAML document in block style, without `---` and with a final line break.
///
/// # Errors
/// The value cannot be written as YAML: it has bytes, or a list or a map as a key.
pub fn to_string(value: &impl Serialize) -> Result<String, Error> {
    let mut out = String::new();
    write(&mut out, &serde_norway::to_value(value)?, 0, After::Dash)?;
    out.push('\n');
    Ok(out)
}

/// What precedes a value.
#[derive(Clone, Copy, PartialEq)]
enum After {
    /// `- `, or nothing: a list or a map starts on the same line.
    Dash,
    /// `key:`
    Colon,
}

fn write(out: &mut String, value: &Value, indent: usize, after: After) -> Result<(), Error> {
    match value {
        Value::Sequence(list) if !list.is_empty() => {
            for (number, item) in list.iter().enumerate() {
                line(out, indent, after, number);
                out.push_str("- ");
                write(out, item, indent + 2, After::Dash)?;
            }
        }
        Value::Mapping(map) if !map.is_empty() => {
            let indent = if after == After::Colon { indent + 2 } else { indent };
            for (number, (key, value)) in map.iter().enumerate() {
                line(out, indent, after, number);
                let key = scalar(key).ok_or_else(|| Error::custom("a map key is a list or a map"))?;
                entry(out, &key, value, indent)?;
            }
        }
        Value::Tagged(tagged) => {
            line(out, indent, after, 0);
            entry(out, &quoted(&tagged.tag.to_string()), &tagged.value, indent)?;
        }
        other => {
            if after == After::Colon {
                out.push(' ');
            }
            out.push_str(scalar(other).as_deref().unwrap_or(if other.is_sequence() { "[]" } else { "{}" }));
        }
    }
    Ok(())
}

/// Starts a new line, except for the first item after a dash.
fn line(out: &mut String, indent: usize, after: After, number: usize) {
    if number > 0 || after == After::Colon {
        let _ = write!(out, "\n{:indent$}", "");
    }
}

fn entry(out: &mut String, key: &str, value: &Value, indent: usize) -> Result<(), Error> {
    if key.len() > MAX_KEY {
        let _ = write!(out, "? {key}\n{:indent$}:", "");
    } else {
        out.extend([key, ":"]);
    }
    write(out, value, indent, After::Colon)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("null".to_owned()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Number(n) => Some(number(n)),
        Value::String(text) => Some(quoted(text)),
        Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

/// Version 1.1 requires a point and a sign in a number with an exponent; otherwise it is text.
fn number(n: &Number) -> String {
    let shown = n.to_string();
    match shown.split_once('e') {
        Some((digits, exponent)) => {
            let point = if digits.contains('.') { "" } else { ".0" };
            let sign = if exponent.starts_with('-') { "" } else { "+" };
            format!("{digits}{point}e{sign}{exponent}")
        }
        None => shown,
    }
}

/// Whether YAML forbids the character or reads it as a line break (YAML 1.1, 4.1 and 4.2).
fn is_special(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            '\n' => write!(out, "\\n"),
            '\t' => write!(out, "\\t"),
            c if is_special(c) => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "{c}"),
        };
    }
    out.push('"');
    out
}
