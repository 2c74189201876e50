//! A member as users see it: in templates, in `get --format members` and in status.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::publication::SlottedMember;

#[cfg(test)]
mod tests;

/// The fields of every member, null if unknown. A data key with one of these names is only in `data`.
const ALWAYS: [&str; 9] = ["name", "host", "port", "address", "id", "weight", "status", "data", "slot"];

/// The member as a JSON object: its fields, `raw` in base64 if its data is not UTF-8, and every data key without a
/// field of that name.
#[must_use]
pub fn to_json(entry: &SlottedMember) -> Value {
    let fields = entry.member.fields();
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
        entry.member.address().map_or(Value::Null, Value::String),
        text(&fields.id),
        fields.weight.map_or(Value::Null, number),
        text(&fields.status),
        Value::Object(fields.data.clone()),
        Value::from(entry.slot),
    ];
    all.extend(ALWAYS.map(str::to_owned).into_iter().zip(known));
    Value::Object(all)
}

/// Whole numbers are shown as such: a weight of 5 is `5`, not `5.0`, in JSON and in rendered files.
fn number(weight: f64) -> Value {
    // Up to 2^53 every whole number is a distinct float, so the text is exact.
    let whole = weight.fract() == 0.0 && weight.abs() <= 9_007_199_254_740_992.0;
    let exact = whole.then(|| format!("{weight:.0}").parse::<i64>().ok()).flatten();
    exact.map_or_else(|| Number::from_f64(weight).map_or(Value::Null, Value::Number), Value::from)
}
