use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::model::member::{Fields, Member};

fn entry(fields: Fields) -> SlottedMember {
    SlottedMember { member: Arc::new(Member::new(fields).unwrap()), slot: 2 }
}

#[test]
fn a_member_has_its_fields_and_the_keys_of_its_data() {
    let data = json!({"zone": "a", "host": "liar", "slot": 9, "raw": 1});
    let member = entry(Fields {
        name: "n".into(),
        host: Some("2001:db8::1".into()),
        port: Some(80),
        weight: Some(5.0),
        data: data.as_object().unwrap().clone(),
        ..Fields::default()
    });
    assert_eq!(
        to_json(&member),
        json!({
            "name": "n", "host": "2001:db8::1", "port": 80, "address": "[2001:db8::1]:80", "id": null,
            "weight": 5, "status": null, "data": data, "slot": 2, "zone": "a", "raw": 1,
        })
    );
}

#[test]
fn data_that_is_not_utf8_is_base64() {
    let member = to_json(&entry(Fields { name: "n".into(), raw: Some(vec![0xff, 0xfe]), ..Fields::default() }));
    assert_eq!((&member["raw"], &member["host"], &member["address"]), (&json!("//4="), &Value::Null, &Value::Null));
}

#[test]
fn a_weight_is_shown_as_it_was_written() {
    for (weight, shown) in [(5.0, "5"), (1.5, "1.5"), (-1.0, "-1"), (0.0, "0"), (1e300, "1e+300"), (f64::NAN, "null")] {
        assert_eq!(number(weight).to_string(), shown);
    }
}
