//! Filters that quote a value so that the parser of one program reads it as one value, whatever it contains.

use std::fmt::Write as _;
use std::net::IpAddr;

use tera::{Kwargs, TeraResult, Value};

use super::{fail, kind};
use crate::text::{is_bare, single_quoted};

#[cfg(test)]
mod tests;

/// The text of a scalar: a string, a number or a boolean.
pub fn scalar(filter: &str, value: &Value) -> TeraResult<String> {
    if value.is_string() || value.is_number() || value.is_bool() {
        return Ok(value.to_string());
    }
    let hint = match kind(value) {
        "null" => "use default(value=…) before this filter",
        _ => "use one of its fields",
    };
    fail(format!("`{filter}` takes a string or a number, but got {}: {hint}", kind(value)))
}

fn replace(text: &str, allowed: &str, other: char) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || allowed.contains(c) { c } else { other }).collect()
}

/// `json`, `json(pretty=true)`: RFC 8259, in one line unless pretty.
pub fn json(value: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let pretty = kwargs.get::<bool>("pretty")?.unwrap_or(false);
    let out = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    out.map(Value::from).or_else(|error| fail(format!("cannot write this as JSON: {error}")))
}

/// `yaml`: a YAML document without `---` and without a final line break. Parsers of YAML 1.1 and 1.2 read it alike.
pub fn yaml(value: &Value, _: &Kwargs) -> TeraResult<Value> {
    match crate::text::yaml::to_string(value) {
        Ok(out) => Ok(Value::from(out.trim_end_matches('\n'))),
        Err(error) => fail(format!("cannot write this as YAML: {error}")),
    }
}

/// `toml`: a map as a document with sorted keys; anything else as the value of a `key =`.
pub fn toml(value: &Value, _: &Kwargs) -> TeraResult<Value> {
    let out = if value.is_map() {
        toml::Table::try_from(value).map(|table| table.to_string())
    } else {
        toml::Value::try_from(value).map(|value| value.to_string())
    };
    match out {
        Ok(out) => Ok(Value::from(out.trim_end_matches('\n'))),
        Err(error) => fail(format!("cannot write this as TOML, which has no null: {error}")),
    }
}

/// `shell`: one word for sh (POSIX Shell Command Language, 2.2.2), in single quotes if needed.
pub fn shell(value: &Value, _: &Kwargs) -> TeraResult<Value> {
    Ok(Value::from(single_quoted(&scalar("shell", value)?)))
}

/// `haproxy`: one argument in a haproxy file, in strong quotes if needed (configuration manual, 2.2).
pub fn haproxy(value: &Value, _: &Kwargs) -> TeraResult<Value> {
    Ok(Value::from(single_quoted(&scalar("haproxy", value)?)))
}

/// `haproxy_name`: the name of a proxy or a server. Characters that haproxy forbids become `_` (configuration manual,
/// 4). Two names can become equal; the check of haproxy rejects the file then.
pub fn haproxy_name(value: &Value, _: &Kwargs) -> TeraResult<Value> {
    let text = scalar("haproxy_name", value)?;
    Ok(Value::from(if text.is_empty() { "_".to_owned() } else { replace(&text, "_.:-", '_') }))
}

/// `hosts_name`: a name for a hosts file (hosts(5)). Characters other than letters, digits, `-`, `.` and `_` become
/// `-`. Two names can become equal.
pub fn hosts_name(value: &Value, _: &Kwargs) -> TeraResult<Value> {
    let text = scalar("hosts_name", value)?;
    Ok(Value::from(if text.is_empty() { "-".to_owned() } else { replace(&text, "-._", '-') }))
}

/// `nginx`: one argument in an nginx file, in double quotes if needed. nginx expands `$` in quotes too and has no
/// escape for it, so `$` is an error.
pub fn nginx(value: &Value, _: &Kwargs) -> TeraResult<Value> {
    let text = scalar("nginx", value)?;
    if text.contains('$') {
        return fail("nginx cannot escape $: leave out values that contain $");
    }
    if is_bare(&text) {
        return Ok(Value::from(text));
    }
    Ok(Value::from(format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))))
}

/// `pgpool`: a value in pgpool.conf or postgresql.conf, always in single quotes.
pub fn pgpool(value: &Value, _: &Kwargs) -> TeraResult<Value> {
    let mut out = String::from("'");
    for c in scalar("pgpool", value)?.chars() {
        match c {
            '\'' => out.push_str("''"),
            '\\' => out.push_str(r"\\"),
            // A line break would end the setting, so it is escaped.
            '\n' => out.push_str(r"\n"),
            c if c.is_control() => _ = write!(out, "\\{:03o}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('\'');
    Ok(Value::from(out))
}

/// `base`: the part after the last `/`.
pub fn base(value: &Value, _: &Kwargs) -> TeraResult<Value> {
    let text = scalar("base", value)?;
    Ok(Value::from(text.rsplit('/').next().unwrap_or_default()))
}

/// `dir`: the part before the last `/`; `/` for a direct child of the root, `.` without a `/`.
pub fn dir(value: &Value, _: &Kwargs) -> TeraResult<Value> {
    let text = scalar("dir", value)?;
    Ok(Value::from(match text.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((dir, _)) => dir,
        None => ".",
    }))
}

/// `is ip`: an IPv4 or IPv6 address, without brackets.
pub fn is_ip(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok())
}

/// `is hostname`: an address, or a name of labels of letters, digits, `-` and `_` (RFC 1123, section 2.1; `_` is common
/// in practice), at most 253 characters.
pub fn is_hostname(value: &Value) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = |text: &str| text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label);
    is_ip(value) || value.as_str().is_some_and(name)
}
