//! Parses durations, file modes, percentages and names. Errors have a hint.

use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::Wait;
use super::problem::ValueError;

#[cfg(test)]
mod tests;

/// The maximum duration. It is short enough to be added to any instant.
const MAX_DURATION: Duration = Duration::from_hours(366 * 24);

/// `"500ms"`, `"2s"`, `"5m"`, `"0s"`, of any length.
pub fn any_duration(text: &str) -> Result<Duration, ValueError> {
    let hint = "write a number and its unit, as in \"500ms\", \"2s\" or \"5m\"";
    humantime::parse_duration(text).map_err(|_| ValueError::new(format!("{text:?} is not a valid duration"), hint))
}

/// The same, limited to [`MAX_DURATION`].
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    let duration = any_duration(text)?;
    if duration > MAX_DURATION {
        return Err(ValueError::new(format!("{text:?} is longer than a year"), "write a duration of at most a year"));
    }
    Ok(duration)
}

/// `"200ms:2s"`, or only `"2s"`: then the maximum is four times as long, as in consul-template.
pub fn wait(text: &str) -> Result<Wait, ValueError> {
    match text.split_once(':') {
        Some((quiet, max)) => wait_of(duration(quiet)?, Some(duration(max)?)),
        None => wait_of(duration(text)?, None),
    }
}

/// Creates a wait. `quiet` must not be longer than `max`.
pub fn wait_of(quiet: Duration, max: Option<Duration>) -> Result<Wait, ValueError> {
    let max = max.unwrap_or_else(|| quiet.saturating_mul(4));
    if quiet > max {
        let (quiet, max) = (humantime::format_duration(quiet), humantime::format_duration(max));
        return Err(ValueError::new(
            format!("the quiet period ({quiet}) is longer than the maximum wait ({max})"),
            format!("write QUIET:MAX, as in \"{max}:{quiet}\""),
        ));
    }
    Ok(Wait { quiet, max })
}

/// `"50%"`.
pub fn percent(text: &str) -> Result<u8, ValueError> {
    let number = text.strip_suffix('%').map(str::trim_end).filter(|number| is_digits(number));
    let number = number.and_then(|number| number.parse::<u8>().ok()).filter(|number| *number <= 100);
    number.ok_or_else(|| {
        ValueError::new(
            format!("{text:?} is not a valid percentage"),
            "write \"0%\" to \"100%\"; \"100%\" disables this check",
        )
    })
}

/// `"0644"`: octal digits, as for chmod.
pub fn mode(text: &str) -> Result<u32, ValueError> {
    let octal = !text.is_empty() && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| {
        ValueError::new(
            format!("{text:?} is not a valid file mode"),
            "write octal digits as for chmod, such as \"0644\"",
        )
    })
}

/// `"64KiB"`, `"10MiB"`, `"1GiB"` or `"500B"`.
pub fn size(text: &str) -> Result<u64, ValueError> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
    let parts = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), factor)));
    let number = parts.filter(|(number, _)| is_digits(number)).and_then(|(number, factor)| {
        let number: u64 = number.parse().ok()?;
        number.checked_mul(*factor)
    });
    number.ok_or_else(|| {
        ValueError::new(
            format!("{text:?} is not a valid size"),
            "write a number and its unit, as in \"64KiB\" or \"10MiB\"",
        )
    })
}

/// Whether a template can use the text as the name of a variable.
pub fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether the text consists of digits.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A TOML integer; `None` if it has more than 64 bits.
pub fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Converts a TOML value for templates; dates become text.
pub fn json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => integer(number)?.into(),
        DeValue::Float(number) => serde_json::Number::from_f64(number.as_str().parse().ok()?)?.into(),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Datetime(date) => date.to_string().into(),
        DeValue::Array(list) => list.iter().map(|item| json(item.get_ref())).collect::<Option<Vec<_>>>()?.into(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| Some((key.get_ref().clone().into_owned(), json(value.get_ref())?)))
            .collect::<Option<serde_json::Map<_, _>>>()?
            .into(),
    })
}
