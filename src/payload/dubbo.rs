//! `/dubbo/<interface>/providers/<URL>`, the URL percent-encoded as a whole, as Dubbo writes it.

use serde_json::Value;

use super::Decoded;
use super::field::{Object, Url, percent_decoded, undecodable, weight};
use crate::model::member::Fields;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// The weight of a provider that says nothing of it.
const WEIGHT: f64 = 100.0;

/// Schemes of what Dubbo puts into the same tree, and what is no provider.
const OTHERS: [&str; 6] = ["admin", "condition", "consumer", "empty", "override", "route"];

/// Makes a member's fields of a node's name. The parameters of the URL are the data.
pub fn decode(name: &str) -> Result<Decoded, Quarantine> {
    let refused = || undecodable("its name is not a provider URL");
    let text = percent_decoded(name).ok_or_else(refused)?;
    let url = Url::parse(&text).ok_or_else(refused)?;
    if OTHERS.contains(&url.scheme) {
        return Ok(Decoded::Other);
    }
    let parameters = url.parameters().map(|(key, value)| (key.to_owned(), Value::from(value)));
    let mut data: Object = parameters.collect();
    data.entry("protocol").or_insert_with(|| Value::from(url.scheme));
    data.entry("path").or_insert_with(|| Value::from(url.path));
    let says = |key: &str| data.get(key).and_then(Value::as_str);
    // As Dubbo's consumers see it: `disabled` goes before `enabled`.
    let is_down = match (says("disabled"), says("enabled")) {
        (Some(disabled), _) => disabled == "true",
        (None, enabled) => enabled == Some("false"),
    };
    Ok(Decoded::Member(Fields {
        name: name.to_owned(),
        host: Some(url.host),
        port: url.port,
        id: None,
        weight: Some(data.get("weight").and_then(weight).unwrap_or(WEIGHT)),
        status: is_down.then(|| "down".to_owned()),
        data,
        raw: None,
    }))
}
