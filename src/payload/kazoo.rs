//! The nodes of kazoo's recipes: `Lock` with `ReadLock`, `WriteLock` and `Election`, `Party`, and `ShallowParty`.
//!
//! The names are those of kazoo 2.11 (kazoo/recipe/lock.py, party.py). The data is the identifier: any text.

use serde_json::Value;

use super::field::{self, Object, host_and_port, undecodable};
use crate::model::contenders::Contender;
use crate::model::member::Fields;
use crate::model::quarantine::{Quarantine, is_breaking};

#[cfg(test)]
mod tests;

/// In the name of a party's node.
const PARTY: &str = "__party__";

/// Decodes the node of a lock; `None` if it is not one. It never fails: without a contender whose identifier cannot be
/// read, the one behind it would seem to lead.
pub fn lock(name: &str, bytes: &[u8]) -> Option<Fields> {
    let contender = Contender::parse(name)?;
    let (kind, sequence) = (if contender.is_shared { "rlock" } else { "lock" }, contender.number);
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(is_breaking));
    let number = sequence.parse().map_or(Value::Null, |number: i64| Value::from(number));
    let data = Object::from_iter([("sequence".to_owned(), number), ("kind".to_owned(), Value::from(kind))]);
    Some(Fields { data, sequence: Some(sequence.to_owned()), ..identified(name, text.unwrap_or_default()) })
}

/// Decodes the node of a party; `None` if it is not one.
pub fn party(name: &str, bytes: &[u8]) -> Result<Option<Fields>, Quarantine> {
    if !name.contains(PARTY) {
        return Ok(None);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| undecodable("its identifier is not UTF-8"))?;
    Ok(Some(identified(name, text)))
}

/// Decodes the name of a shallow party's node. As in kazoo every child is one, and a name without a dash is an
/// identifier.
pub fn shallow_party(name: &str) -> Fields {
    identified(name, name.split_once('-').map_or(name, |(_, identifier)| identifier))
}

/// A member with this identifier, which may be its host, or its host and port.
fn identified(name: &str, identifier: &str) -> Fields {
    let (place, port) = match host_and_port(identifier) {
        Some((place, port)) => (place, Some(port).filter(|port| *port > 0)),
        None => (identifier, None),
    };
    let host = field::host(place);
    let port = port.filter(|_| host.is_some());
    let id = Some(identifier.to_owned()).filter(|id| !id.is_empty());
    Fields { name: name.to_owned(), host, port, id, ..Fields::default() }
}
