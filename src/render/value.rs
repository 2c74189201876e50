//! Members as Tera sees them.

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

/// The fields that every member has. A key of its data with one of these names is found under `data` only.
pub const FIELDS: [&str; 9] = ["name", "host", "port", "address", "id", "weight", "status", "data", "slot"];

/// The largest number that every whole number below is exact in an `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A roster's members under one key of it; no key for a plain path.
type Place = (Arc<str>, Option<Arc<str>>);

/// Values made before. Rosters change by a member at a time while many templates show all of them, so what is the
/// same `Arc` as last time is not made again.
#[derive(Debug, Default)]
pub struct Values {
    last: Mutex<BTreeMap<Place, (SlottedMembers, Value)>>,
}

impl Values {
    /// A roster as templates see it: a list of members, or a map of such lists in the order of their keys.
    pub fn roster(&self, name: &Arc<str>, roster: &RosterValue) -> Value {
        match roster {
            RosterValue::List(seats) => self.list((Arc::clone(name), None), seats),
            RosterValue::Map(keys) => {
                let mut map = tera::Map::with_capacity(keys.len());
                for (key, seats) in keys {
                    let list = self.list((Arc::clone(name), Some(Arc::clone(key))), seats);
                    map.insert(Key::String(Arc::clone(key)), list);
                }
                self.forget(name, keys);
                Value::from(map)
            }
        }
    }

    fn list(&self, place: Place, seats: &SlottedMembers) -> Value {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.get(&place);
        if let Some((same, value)) = before
            && Arc::ptr_eq(same, seats)
        {
            return value.clone();
        }
        let value = members(seats, before);
        last.insert(place, (Arc::clone(seats), value.clone()));
        value
    }

    /// Drops what is kept for keys that are gone.
    fn forget<T>(&self, name: &Arc<str>, keys: &BTreeMap<Arc<str>, T>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|(roster, key), _| roster != name || key.as_ref().is_some_and(|key| keys.contains_key(key)));
    }
}

/// Members by themselves: those of the key whose file is rendered.
pub fn list(seats: &SlottedMembers) -> Value {
    members(seats, None)
}

/// The members in their order; those that were there before with the same seat are taken over.
fn members(seats: &SlottedMembers, before: Option<&(SlottedMembers, Value)>) -> Value {
    let (old, values) = match before {
        Some((old, value)) => (&**old, value.as_array().unwrap_or_default()),
        None => (&[][..], &[][..]),
    };
    // By allocation: a member that is as before is the same one.
    let old: HashMap<*const Member, (u32, &Value)> =
        old.iter().zip(values).map(|(other, value)| (Arc::as_ptr(&other.member), (other.slot, value))).collect();
    let same = |seated: &SlottedMember| old.get(&Arc::as_ptr(&seated.member)).filter(|(slot, _)| *slot == seated.slot);
    let list: Vec<Value> =
        seats.iter().map(|seated| same(seated).map_or_else(|| member(seated), |(_, value)| (*value).clone())).collect();
    Value::from(list)
}

/// One member: its fields, then every key of its data that no field has taken.
fn member(seated: &SlottedMember) -> Value {
    Value::from(fields(&seated.member, Some(seated.slot)))
}

/// A member's fields and the keys of its data; without a number where it has none yet.
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

/// JSON as Tera's values; objects keep their order.
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

/// A JSON object as Tera's map.
pub fn object(map: &serde_json::Map<String, serde_json::Value>) -> Value {
    Value::from(map.iter().map(|(key, value)| (Key::from(key.clone()), json(value))).collect::<tera::Map>())
}

/// A number that is whole is printed without a point.
#[allow(clippy::cast_possible_truncation, reason = "checked to be whole and in range just before")]
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() <= EXACT { Value::from(value as i64) } else { Value::from(value) }
}
