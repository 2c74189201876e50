use super::*;
use crate::model::registry_event::NodeContent;
use crate::payload::{Format, decode};
use serde_json::json as js;

fn slotted(name: &str, data: &[u8], slot: u32) -> SlottedMember {
    let member: Member = decode(&Format::Nextdoor, name, &Ok(NodeContent::ephemeral(data))).unwrap().member().unwrap();
    SlottedMember { member: Arc::new(member), slot }
}

fn shown(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn a_member_has_its_fields_and_then_its_data() {
    let data = br#"{"weight": 5, "zone": "a", "port": 1, "status": "up", "deep": {"x": [1.5, null]}}"#;
    let value = member(&slotted("[2001:db8::1]:80", data, 3));
    let expected = js!({
        "name": "[2001:db8::1]:80", "host": "2001:db8::1", "port": 80, "address": "[2001:db8::1]:80",
        "id": null, "weight": 5, "status": "up", "slot": 3, "zone": "a", "deep": {"x": [1.5, null]},
        "data": {"weight": 5, "zone": "a", "port": 1, "status": "up", "deep": {"x": [1.5, null]}},
    });
    assert_eq!(shown(&value), expected);
    assert_eq!(shown(&member(&slotted("web1", b"\xff", 0)))["raw"], js!("/w=="));
    assert!(shown(&member(&slotted("web1", b"", 0))).get("raw").is_none());
}

#[test]
fn an_integral_weight_prints_without_a_decimal_point() {
    for (weight, printed) in [(5.0, "5"), (0.5, "0.5"), (-1.0, "-1"), (1e300, "1e300"), (f64::INFINITY, "inf")] {
        assert_eq!(number(weight).to_string(), printed);
    }
}

#[test]
fn unchanged_values_are_reused() {
    let values = ValueCache::default();
    let name: Arc<str> = "web".into();
    let (a, b, c) = (slotted("a:1", b"", 0), slotted("b:1", b"", 1), slotted("c:1", b"", 2));
    let first: SlottedMembers = Arc::from([a.clone(), b.clone()]);
    let same = |x: &Value, y: &Value| std::ptr::eq(x.as_map().unwrap(), y.as_map().unwrap());
    let one = values.roster(&name, &RosterValue::List(first));
    let moved = SlottedMember { slot: 9, ..b.clone() };
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
fn a_keyed_roster_is_an_ordered_map_and_removed_keys_leave_the_cache() {
    let values = ValueCache::default();
    let name: Arc<str> = "services".into();
    let keyed = |keys: &[&str]| {
        RosterValue::Map(
            keys.iter().map(|key| (Arc::from(*key), SlottedMembers::from([slotted("a:1", b"", 0)]))).collect(),
        )
    };
    let map = values.roster(&name, &keyed(&["web", "api", "db"]));
    let keys: Vec<_> = map.as_map().unwrap().keys().map(ToString::to_string).collect();
    assert_eq!(keys, ["api", "db", "web"]);
    values.roster(&name, &keyed(&["api"]));
    assert_eq!(values.last.lock().unwrap().len(), 1);
}
