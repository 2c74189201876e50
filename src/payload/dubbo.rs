//! `/dubbo/<interface>/providers/<URL>`, the URL percent-encoded as a whole, as Dubbo writes it.

use serde_json::Value;

use super::Parsed;
use super::field::{Object, Url, percent_decoded, undecodable, weight};
use crate::model::member::Fields;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// The default weight.
const WEIGHT: f64 = 100.0;

/// Schemes of nodes in the same tree that are not providers.
const OTHERS: [&str; 6] = ["admin", "condition", "consumer", "empty", "override", "route"];

/// Decodes a node name. The parameters of the URL become the data.
pub fn decode(name: &str) -> Result<Parsed, Quarantine> {
    let refused = || undecodable("its name is not a provider URL");
    let text = percent_decoded(name).ok_or_else(refused)?;
    let url = Url::parse(&text).ok_or_else(refused)?;
    if OTHERS.contains(&url.scheme) {
        return Ok(Parsed::Other);
    }
    let parameters = url.parameters().map(|(key, value)| (key.to_owned(), Value::from(value)));
    let mut data: Object = parameters.collect();
    data.entry("protocol").or_insert_with(|| Value::from(url.scheme));
    data.entry("path").or_insert_with(|| Value::from(url.path));
    let says = |key: &str| data.get(key).and_then(Value::as_str);
    // As for Dubbo consumers, `disabled` has precedence over `enabled`.
    let is_down = match (says("disabled"), says("enabled")) {
        (Some(disabled), _) => disabled == "true",
        (None, enabled) => enabled == Some("false"),
    };
    Ok(Parsed::Member(Fields {
        name: name.to_owned(),
        host: Some(url.host),
        port: url.port,
        id: None,
        weight: Some(data.get("weight").and_then(weight).unwrap_or(WEIGHT)),
        status: is_down.then(|| "down".to_owned()),
        data,
        raw: None,
        sequence: None,
    }))
}
