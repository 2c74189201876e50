//! Filters over lists of members.

use std::collections::BTreeMap;

use tera::value::Key;
use tera::{Kwargs, TeraResult, Value};

use super::{fail, kind};

#[cfg(test)]
mod tests;

fn list<'a>(filter: &str, value: &'a Value) -> TeraResult<&'a [Value]> {
    match value.as_array() {
        Some(list) => Ok(list),
        None if value.is_map() => fail(format!(
            "`{filter}` takes a list, but got a map: name one of its keys, or loop over it with for key, list in …"
        )),
        None => fail(format!("`{filter}` takes a list, but got {}", kind(value))),
    }
}

/// The name of an element in a message.
fn called(at: usize, element: &Value) -> String {
    match element.get_from_path("name").and_then(Value::as_str) {
        Some(name) => format!("{name:?}"),
        None => format!("element {at}"),
    }
}

/// `where(attribute="zone", value="a")`: the elements with that value. Without `value`, the elements whose attribute is
/// not false, null, 0 or empty. An element without the attribute does not match.
pub fn matching(value: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let attribute = kwargs.must_get::<&str>("attribute")?;
    let wanted = kwargs.get::<&Value>("value")?;
    if wanted.is_some_and(Value::is_undefined) {
        return fail("`where` was given an undefined value to compare with");
    }
    let matches = |element: &&Value| match (element.get_from_path(attribute), wanted) {
        (Some(found), Some(wanted)) => found == wanted,
        (Some(found), None) => found.is_truthy(),
        (None, _) => false,
    };
    Ok(Value::from(list("where", value)?.iter().filter(matches).cloned().collect::<Vec<_>>()))
}

/// `pluck(attribute="address")`: the attribute of every element. A missing attribute is an error.
pub fn pluck(value: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let attribute = kwargs.must_get::<&str>("attribute")?;
    let mut out = Vec::new();
    for (at, element) in list("pluck", value)?.iter().enumerate() {
        out.push(attribute_of(at, element, attribute)?.clone());
    }
    Ok(Value::from(out))
}

/// `sort_by(attribute="weight", reverse=true)`: a stable sort. Elements whose attribute is missing or null come last in
/// both directions.
pub fn sort_by(value: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let attribute = kwargs.must_get::<&str>("attribute")?;
    let reverse = kwargs.get::<bool>("reverse")?.unwrap_or(false);
    let known = |element: &'_ Value| element.get_from_path(attribute).is_some_and(|found| !found.is_none());
    let (mut sorted, unknown): (Vec<_>, Vec<_>) = list("sort_by", value)?.iter().cloned().partition(known);
    let mut mixed = None;
    sorted.sort_by(|a, b| {
        let (a, b) = (a.get_from_path(attribute), b.get_from_path(attribute));
        let order = a.partial_cmp(&b).unwrap_or_else(|| {
            mixed = a.zip(b).map(|(a, b)| (kind(a), kind(b))).or(mixed);
            a.cmp(&b)
        });
        if reverse { order.reverse() } else { order }
    });
    if let Some((a, b)) = mixed {
        return fail(format!("`sort_by` cannot compare {attribute}: some values are {a}, others {b}"));
    }
    sorted.extend(unknown);
    Ok(Value::from(sorted))
}

/// `group_by(attribute="zone")`: a map from each value to its elements, ordered by value. Elements whose value is null
/// are left out, as in Tera.
pub fn group_by(value: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let attribute = kwargs.must_get::<&str>("attribute")?;
    let mut groups: BTreeMap<Key<'static>, Vec<Value>> = BTreeMap::new();
    for (at, element) in list("group_by", value)?.iter().enumerate() {
        let found = attribute_of(at, element, attribute)?;
        if found.is_none() {
            continue;
        }
        let Some(key) = key(found) else {
            return fail(format!("{attribute} of {} is neither a string nor a whole number", called(at, element)));
        };
        groups.entry(key).or_default().push(element.clone());
    }
    Ok(Value::from(groups.into_iter().map(|(key, list)| (key, Value::from(list))).collect::<tera::Map>()))
}

fn attribute_of<'a>(at: usize, element: &'a Value, attribute: &'a str) -> TeraResult<&'a Value> {
    element.get_from_path(attribute).map_or_else(
        || {
            fail(format!(
                "{} has no {attribute}: filter with where(attribute=\"{attribute}\") first",
                called(at, element)
            ))
        },
        Ok,
    )
}

fn key(value: &Value) -> Option<Key<'static>> {
    value
        .as_str()
        .map(|text| Key::from(text.to_owned()))
        .or_else(|| value.as_bool().map(Key::Bool))
        .or_else(|| value.as_i128().map(Key::from))
}

/// `join(sep=", ")`.
pub fn join(value: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let separator = kwargs.get::<&str>("sep")?.unwrap_or_default();
    let texts: Vec<String> = list("join", value)?.iter().map(ToString::to_string).collect();
    Ok(Value::from(texts.join(separator)))
}

/// `default(value=1)`: replaces undefined and null; with `boolean=true` also false, 0 and empty values.
pub fn default(value: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let other = kwargs.must_get::<&Value>("value")?;
    let boolean = kwargs.get::<bool>("boolean")?.unwrap_or(false);
    let missing = value.is_undefined() || value.is_none() || (boolean && !value.is_truthy());
    Ok(if missing { other.clone() } else { value.clone() })
}
