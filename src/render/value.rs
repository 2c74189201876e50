//! Members as Tera sees them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tera::Value;
use tera::value::Key;

use crate::decide::{Member, RosterValue, Seated, Seats};

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
    last: Mutex<BTreeMap<Place, (Seats, Value)>>,
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

    fn list(&self, place: Place, seats: &Seats) -> Value {
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
pub fn list(seats: &Seats) -> Value {
    members(seats, None)
}

/// The members in their order; those that were there before with the same seat are taken over.
fn members(seats: &Seats, before: Option<&(Seats, Value)>) -> Value {
    let (old, values) = match before {
        Some((old, value)) => (&**old, value.as_array().unwrap_or_default()),
        None => (&[][..], &[][..]),
    };
    // By allocation: a member that is as before is the same one.
    let old: HashMap<*const Member, (u32, &Value)> =
        old.iter().zip(values).map(|(other, value)| (Arc::as_ptr(&other.member), (other.slot, value))).collect();
    let same = |seated: &Seated| old.get(&Arc::as_ptr(&seated.member)).filter(|(slot, _)| *slot == seated.slot);
    let list: Vec<Value> =
        seats.iter().map(|seated| same(seated).map_or_else(|| member(seated), |(_, value)| (*value).clone())).collect();
    Value::from(list)
}

/// One member: its fields, then every key of its data that no field has taken.
fn member(seated: &Seated) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Format, decode};
    use serde_json::json as js;

    fn seat(name: &str, data: &[u8], slot: u32) -> Seated {
        let member: Member = decode(&Format::Nextdoor, name, &Ok(Arc::from(data))).unwrap().member().unwrap();
        Seated { member: Arc::new(member), slot }
    }

    fn shown(value: &Value) -> serde_json::Value {
        serde_json::to_value(value).unwrap()
    }

    #[test]
    fn a_member_has_its_fields_and_then_its_data() {
        let data = br#"{"weight": 5, "zone": "a", "port": 1, "status": "up", "deep": {"x": [1.5, null]}}"#;
        let value = member(&seat("[2001:db8::1]:80", data, 3));
        let expected = js!({
            "name": "[2001:db8::1]:80", "host": "2001:db8::1", "port": 80, "address": "[2001:db8::1]:80",
            "id": null, "weight": 5, "status": "up", "slot": 3, "zone": "a", "deep": {"x": [1.5, null]},
            "data": {"weight": 5, "zone": "a", "port": 1, "status": "up", "deep": {"x": [1.5, null]}},
        });
        assert_eq!(shown(&value), expected);
        assert_eq!(shown(&member(&seat("web1", b"\xff", 0)))["raw"], js!("/w=="));
        assert!(shown(&member(&seat("web1", b"", 0))).get("raw").is_none());
    }

    #[test]
    fn a_whole_weight_prints_without_a_point() {
        for (weight, printed) in [(5.0, "5"), (0.5, "0.5"), (-1.0, "-1"), (1e300, "1e300"), (f64::INFINITY, "inf")] {
            assert_eq!(number(weight).to_string(), printed);
        }
    }

    #[test]
    fn what_did_not_change_is_not_made_again() {
        let values = Values::default();
        let name: Arc<str> = "web".into();
        let (a, b, c) = (seat("a:1", b"", 0), seat("b:1", b"", 1), seat("c:1", b"", 2));
        let first: Seats = Arc::from([a.clone(), b.clone()]);
        let same = |x: &Value, y: &Value| std::ptr::eq(x.as_map().unwrap(), y.as_map().unwrap());
        let one = values.roster(&name, &RosterValue::List(first));
        let moved = Seated { slot: 9, ..b.clone() };
        let two = values.roster(&name, &RosterValue::List(Arc::from([a.clone(), moved, c.clone()])));
        let (one, two) = (one.as_array().unwrap(), two.as_array().unwrap());
        assert!(same(&one[0], &two[0]));
        assert!(!same(&one[1], &two[1]));
        assert_eq!(shown(&two[1])["slot"], js!(9));
        assert_eq!(shown(&two[2])["name"], js!("c:1"));
        let three = values.roster(&name, &RosterValue::List(Arc::from([c])));
        assert_eq!(shown(&three)[0]["name"], js!("c:1"));
    }

    #[test]
    fn a_keyed_roster_is_a_map_in_order_and_lost_keys_are_forgotten() {
        let values = Values::default();
        let name: Arc<str> = "services".into();
        let keyed = |keys: &[&str]| {
            RosterValue::Map(keys.iter().map(|key| (Arc::from(*key), Seats::from([seat("a:1", b"", 0)]))).collect())
        };
        let map = values.roster(&name, &keyed(&["web", "api", "db"]));
        let keys: Vec<_> = map.as_map().unwrap().keys().map(ToString::to_string).collect();
        assert_eq!(keys, ["api", "db", "web"]);
        values.roster(&name, &keyed(&["api"]));
        assert_eq!(values.last.lock().unwrap().len(), 1);
    }
}
