//! Members as Tera values.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tera::Value;
use tera::value::Key;

use crate::decide::{RosterValue, SlottedMember, SlottedMembers};
use crate::model::member::Member;

#[cfg(test)]
mod tests;

/// The fields of every member. A data key with one of these names is available under `data` only.
pub const FIELDS: [&str; 9] = ["name", "host", "port", "address", "id", "weight", "status", "data", "slot"];

/// The limit up to which an `f64` represents every integer exactly.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A roster and one of its keys; no key for a plain path.
type CacheKey = (Arc<str>, Option<Arc<str>>);

/// A cache of converted values. Rosters change one member at a time while many templates show all of them, so an
/// unchanged `Arc` is not converted again.
#[derive(Debug, Default)]
pub struct ValueCache {
    last: Mutex<BTreeMap<CacheKey, (SlottedMembers, Value)>>,
}

impl ValueCache {
    /// Converts a roster to a list of members, or to a map of such lists ordered by key.
    pub fn roster(&self, name: &Arc<str>, roster: &RosterValue) -> Value {
        match roster {
            RosterValue::List(members) => self.list((Arc::clone(name), None), members),
            RosterValue::Map(keys) => {
                let mut map = tera::Map::with_capacity(keys.len());
                for (key, members) in keys {
                    let list = self.list((Arc::clone(name), Some(Arc::clone(key))), members);
                    map.insert(Key::String(Arc::clone(key)), list);
                }
                self.drop_missing_keys(name, keys);
                Value::from(map)
            }
        }
    }

    fn list(&self, cache_key: CacheKey, members: &SlottedMembers) -> Value {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.get(&cache_key);
        if let Some((same, value)) = before
            && Arc::ptr_eq(same, members)
        {
            return value.clone();
        }
        let value = member_list(members, before);
        last.insert(cache_key, (Arc::clone(members), value.clone()));
        value
    }

    /// Removes the cached values of keys that no longer exist.
    fn drop_missing_keys<T>(&self, name: &Arc<str>, keys: &BTreeMap<Arc<str>, T>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|(roster, key), _| roster != name || key.as_ref().is_some_and(|key| keys.contains_key(key)));
    }
}

/// Converts the members of the key whose file is rendered.
pub fn list(members: &SlottedMembers) -> Value {
    member_list(members, None)
}

/// Converts members, reusing the values of members that have not changed.
fn member_list(members: &SlottedMembers, before: Option<&(SlottedMembers, Value)>) -> Value {
    let (old, values) = match before {
        Some((old, value)) => (&**old, value.as_array().unwrap_or_default()),
        None => (&[][..], &[][..]),
    };
    // Compared by allocation: an unchanged member keeps its `Arc`.
    let old: HashMap<*const Member, (u32, &Value)> =
        old.iter().zip(values).map(|(other, value)| (Arc::as_ptr(&other.member), (other.slot, value))).collect();
    let same =
        |slotted: &SlottedMember| old.get(&Arc::as_ptr(&slotted.member)).filter(|(slot, _)| *slot == slotted.slot);
    let list: Vec<Value> = members
        .iter()
        .map(|slotted| same(slotted).map_or_else(|| member(slotted), |(_, value)| (*value).clone()))
        .collect();
    Value::from(list)
}

/// Converts one member.
fn member(slotted: &SlottedMember) -> Value {
    Value::from(fields(&slotted.member, Some(slotted.slot)))
}

/// The fields of a member, then the keys of its data that do not clash with a field. `slot` is left out if it is
/// `None`.
pub fn fields(member: &Member, slot: Option<u32>) -> tera::Map {
    let fields = member.fields();
    let mut map = tera::Map::with_capacity(FIELDS.len() + 1 + fields.data.len());
    let text = |text: &Option<String>| text.as_deref().map_or_else(Value::none, Value::from);
    let values = [
        Value::from(fields.name.as_str()),
        text(&fields.host),
        fields.port.map_or_else(Value::none, Value::from),
        text(&member.address()),
        text(&fields.id),
        fields.weight.map_or_else(Value::none, number),
        text(&fields.status),
        object(&fields.data),
    ];
    map.extend(FIELDS.into_iter().map(Key::Str).zip(values));
    if let Some(slot) = slot {
        map.insert(Key::Str("slot"), Value::from(u64::from(slot)));
    }
    if let Some(raw) = &fields.raw {
        map.insert(Key::Str("raw"), Value::from(STANDARD.encode(raw)));
    }
    for (key, value) in &fields.data {
        map.entry(Key::from(key.clone())).or_insert_with(|| json(value));
    }
    map
}

/// Converts JSON. Objects keep their order.
pub fn json(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::none(),
        Json::Bool(yes) => Value::from(*yes),
        Json::Number(n) => n
            .as_u64()
            .map(Value::from)
            .or_else(|| n.as_i64().map(Value::from))
            .or_else(|| n.as_f64().map(Value::from))
            .unwrap_or_else(Value::none),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(list) => Value::from(list.iter().map(json).collect::<Vec<_>>()),
        Json::Object(map) => object(map),
    }
}

/// Converts a JSON object.
pub fn object(map: &serde_json::Map<String, serde_json::Value>) -> Value {
    Value::from(map.iter().map(|(key, value)| (Key::from(key.clone()), json(value))).collect::<tera::Map>())
}

/// Converts a number. An integral one prints without a decimal point.
#[allow(clippy::cast_possible_truncation, reason = "checked to be whole and in range just before")]
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() <= MAX_EXACT { Value::from(value as i64) } else { Value::from(value) }
}
