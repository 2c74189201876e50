//! Filters and tests over text, for any program.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glob::Pattern;
use regex_lite::Regex;
use tera::{Kwargs, TeraResult, Value};

use super::quote::scalar;
use super::{defined, fail};

/// `md5`: the digest in 32 hexadecimal digits. For names and comparisons, not for secrets.
pub fn md5(value: &Value, _: &Kwargs) -> TeraResult<Value> {
    Ok(Value::from(format!("{:x}", md5::compute(scalar("md5", value)?))))
}

/// `b64encode`: base64 with padding (RFC 4648, section 4).
pub fn b64encode(value: &Value, _: &Kwargs) -> TeraResult<Value> {
    Ok(Value::from(STANDARD.encode(scalar("b64encode", value)?)))
}

/// `regex_replace(pattern="-[0-9]+$", rep="")`: every match of a regular expression replaced; `$1` and `$name` in `rep`
/// stand for groups.
pub fn regex_replace(value: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let (pattern, rep) = (kwargs.must_get::<&str>("pattern")?, kwargs.must_get::<&str>("rep")?);
    match Regex::new(pattern) {
        Ok(regex) => Ok(Value::from(regex.replace_all(&scalar("regex_replace", value)?, rep).into_owned())),
        Err(error) => fail(format!("`regex_replace` was given an invalid regular expression, {pattern}: {error}")),
    }
}

/// `is matching(pat="web*")`: the whole text matches a pattern of `*`, `?` and `[a-z]`.
pub fn matching(value: &Value, kwargs: &Kwargs) -> TeraResult<bool> {
    let pattern = kwargs.must_get::<&str>("pat")?;
    // Tera 1 and Jinja have regular expressions here, and these would just not match.
    if pattern.starts_with('^') || pattern.ends_with('$') {
        return fail(format!(
            "`matching` takes a pattern such as web*, not a regular expression: {pattern}; the whole text has to match"
        ));
    }
    defined("matching", value)?;
    match Pattern::new(pattern) {
        Ok(pattern) => Ok(pattern.matches(&scalar("matching", value)?)),
        Err(error) => fail(format!("`matching` was given an invalid pattern, {pattern}: {}", error.msg)),
    }
}
