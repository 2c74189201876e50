//! A member with its place, as users see it: in templates, in `get --format members`, in status.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::publication::Seated;

/// What every member has, null where it is not known. A key of its data with one of these names stays in `data`.
const ALWAYS: [&str; 9] = ["name", "host", "port", "address", "id", "weight", "status", "data", "slot"];

/// The member as a JSON object: the fields that every member has, `raw` in base64 where its data is no UTF-8, and
/// every key of its data that takes no field's name.
#[must_use]
pub fn to_json(seated: &Seated) -> Value {
    let fields = seated.member.fields();
    let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::String);
    let mut all = Map::new();
    for (key, value) in &fields.data {
        if !ALWAYS.contains(&key.as_str()) {
            all.insert(key.clone(), value.clone());
        }
    }
    if let Some(raw) = &fields.raw {
        all.insert("raw".to_owned(), Value::String(STANDARD.encode(raw)));
    }
    let known = [
        Value::String(fields.name.clone()),
        text(&fields.host),
        fields.port.map_or(Value::Null, Value::from),
        seated.member.address().map_or(Value::Null, Value::String),
        text(&fields.id),
        fields.weight.map_or(Value::Null, number),
        text(&fields.status),
        Value::Object(fields.data.clone()),
        Value::from(seated.slot),
    ];
    all.extend(ALWAYS.map(str::to_owned).into_iter().zip(known));
    Value::Object(all)
}

/// A whole number is shown as one: a weight of 5 is `5`, not `5.0`, in JSON and in the files that are made of it.
fn number(weight: f64) -> Value {
    // Up to 2^53 each whole number is a float of its own, so the way over text loses nothing.
    let whole = weight.fract() == 0.0 && weight.abs() <= 9_007_199_254_740_992.0;
    let exact = whole.then(|| format!("{weight:.0}").parse::<i64>().ok()).flatten();
    exact.map_or_else(|| Number::from_f64(weight).map_or(Value::Null, Value::Number), Value::from)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::decide::{Fields, Member};

    fn seated(fields: Fields) -> Seated {
        Seated { member: Arc::new(Member::new(fields).unwrap()), slot: 2 }
    }

    #[test]
    fn a_member_has_its_fields_and_the_keys_of_its_data() {
        let data = json!({"zone": "a", "host": "liar", "slot": 9, "raw": 1});
        let member = seated(Fields {
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
    fn what_is_no_text_is_base64() {
        let member = to_json(&seated(Fields { name: "n".into(), raw: Some(vec![0xff, 0xfe]), ..Fields::default() }));
        assert_eq!((&member["raw"], &member["host"], &member["address"]), (&json!("//4="), &Value::Null, &Value::Null));
    }

    #[test]
    fn a_weight_is_shown_as_it_was_written() {
        for (weight, shown) in
            [(5.0, "5"), (1.5, "1.5"), (-1.0, "-1"), (0.0, "0"), (1e300, "1e+300"), (f64::NAN, "null")]
        {
            assert_eq!(number(weight).to_string(), shown);
        }
    }
}
