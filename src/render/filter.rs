//! Filters, tests and functions in addition to those of Tera. A few replace one of Tera: `group_by` has a random order there,
//! `default` passes null, and `join` and `str` print undefined values as nothing.

use tera::{Error, Kwargs, State, Tera, TeraResult, Value};

mod list;
mod quote;
mod share;
#[cfg(test)]
mod tests;
mod text;

/// The filters of Tera 2.4, which has no API to list them.
pub const TERA_FILTERS: [&str; 37] = [
    "abs",
    "capitalize",
    "default",
    "escape",
    "escape_html",
    "escape_xml",
    "first",
    "float",
    "get",
    "group_by",
    "indent",
    "int",
    "join",
    "keys",
    "last",
    "length",
    "lower",
    "newlines_to_br",
    "nth",
    "pairs",
    "pluralize",
    "replace",
    "reverse",
    "round",
    "safe",
    "sort",
    "split",
    "str",
    "title",
    "trim",
    "trim_end",
    "trim_start",
    "truncate",
    "unique",
    "upper",
    "values",
    "wordcount",
];

/// Tera 2.4's tests.
pub const TERA_TESTS: [&str; 17] = [
    "array",
    "bool",
    "containing",
    "defined",
    "divisible_by",
    "ending_with",
    "even",
    "float",
    "integer",
    "iterable",
    "map",
    "none",
    "number",
    "odd",
    "starting_with",
    "string",
    "undefined",
];

/// Tera 2.4's functions, `super` in blocks included, and rosterd's.
pub const FUNCTIONS: [&str; 5] = ["bucket", "in_share", "range", "super", "throw"];

type Filter = fn(&Value, &Kwargs) -> TeraResult<Value>;

/// rosterd's filters: name, arguments, function.
const FILTERS: [(&str, &[&str], Filter); 21] = [
    ("b64encode", &[], text::b64encode),
    ("base", &[], quote::base),
    ("default", &["value", "boolean"], list::default),
    ("dir", &[], quote::dir),
    ("group_by", &["attribute"], list::group_by),
    ("haproxy", &[], quote::haproxy),
    ("haproxy_name", &[], quote::haproxy_name),
    ("hosts_name", &[], quote::hosts_name),
    ("join", &["sep"], list::join),
    ("json", &["pretty"], quote::json),
    ("md5", &[], text::md5),
    ("nginx", &[], quote::nginx),
    ("pgpool", &[], quote::pgpool),
    ("pluck", &["attribute"], list::pluck),
    ("regex_replace", &["pattern", "rep"], text::regex_replace),
    ("shell", &[], quote::shell),
    ("sort_by", &["attribute", "reverse"], list::sort_by),
    ("str", &[], |value, _| Ok(Value::from(value.to_string()))),
    ("toml", &[], quote::toml),
    ("where", &["attribute", "value"], list::matching),
    ("yaml", &[], quote::yaml),
];

type Test = fn(&Value, &Kwargs) -> TeraResult<bool>;

/// rosterd's tests: name, arguments, function.
const TESTS: [(&str, &[&str], Test); 3] = [
    ("hostname", &[], |value, _| Ok(quote::is_hostname(value))),
    ("ip", &[], |value, _| Ok(quote::is_ip(value))),
    ("matching", &["pat"], text::matching),
];

/// The names of all filters.
pub fn filters() -> impl Iterator<Item = &'static str> {
    TERA_FILTERS.into_iter().chain(FILTERS.iter().map(|(name, ..)| *name))
}

/// The names of all tests.
pub fn tests() -> impl Iterator<Item = &'static str> {
    TERA_TESTS.into_iter().chain(TESTS.iter().map(|(name, ..)| *name))
}

/// Creates a Tera with all filters and tests, without templates and without HTML escaping.
pub fn tera() -> Tera {
    let mut tera = Tera::new();
    tera.autoescape_on(Vec::<&str>::new());
    for (name, arguments, filter) in FILTERS {
        tera.register_filter(name, move |value: &Value, kwargs: Kwargs, _: &State<'_>| {
            known_only(name, arguments, &kwargs)?;
            if name != "default" {
                defined(name, value)?;
            }
            filter(value, &kwargs)
        });
    }
    for (name, arguments, test) in TESTS {
        tera.register_test(name, move |value: &Value, kwargs: Kwargs, _: &State<'_>| -> TeraResult<bool> {
            known_only(name, arguments, &kwargs)?;
            test(value, &kwargs)
        });
    }
    tera.register_function("bucket", |kwargs: Kwargs, _: &State<'_>| share::bucket(&kwargs));
    tera.register_function("in_share", |kwargs: Kwargs, _: &State<'_>| share::in_share(&kwargs));
    tera
}

/// Rejects unknown arguments. Tera ignores them, so a misspelled one would have no effect.
fn known_only(filter: &str, arguments: &[&str], kwargs: &Kwargs) -> TeraResult<()> {
    match kwargs.iter().find(|(key, _)| !key.as_str().is_some_and(|key| arguments.contains(&key))) {
        None => Ok(()),
        Some((key, _)) if arguments.is_empty() => fail(format!("`{filter}` takes no arguments, but got {key}")),
        Some((key, _)) => fail(format!("`{filter}` takes {}, not {key}", arguments.join(" and "))),
    }
}

/// Rejects undefined values, also as items of a list or a map that the template builds.
fn defined(filter: &str, value: &Value) -> TeraResult<()> {
    let missing = |value: &Value| fail(format!("`{filter}` was given an undefined value{}", kind_hint(value)));
    if value.is_undefined() {
        return missing(value);
    }
    match (value.as_array(), value.as_map()) {
        (Some(list), _) if list.iter().any(Value::is_undefined) => missing(value),
        (_, Some(map)) if map.values().any(Value::is_undefined) => missing(value),
        _ => Ok(()),
    }
}

fn kind_hint(value: &Value) -> &'static str {
    if value.is_undefined() { "" } else { " in a list or a map" }
}

fn fail<T>(message: impl Into<String>) -> TeraResult<T> {
    Err(Error::message(message.into()))
}

/// The type of a value, for messages.
fn kind(value: &Value) -> &'static str {
    match value {
        _ if value.is_none() => "null",
        _ if value.is_string() => "a string",
        _ if value.is_number() => "a number",
        _ if value.is_bool() => "a boolean",
        _ if value.is_array() => "a list",
        _ if value.is_map() => "a map",
        _ => "bytes",
    }
}
