//! `/live_nodes/<host>:<port>_<context>`, as Solr's nodes write it, without data.

use serde_json::Value;

use super::field::{Object, host, host_and_port, percent_decoded, undecodable};
use crate::model::member::Fields;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// Decodes a node name.
pub fn decode(name: &str) -> Result<Fields, Quarantine> {
    let read = || {
        // A host may contain an underscore: the context starts after the port.
        let colon = name.find("]:").map_or_else(|| name.find(':'), |bracket| Some(bracket + 1))?;
        let (port, context) = name[colon + 1..].split_once('_')?;
        let (place, port) = host_and_port(&name[..=colon + port.len()])?;
        Some((host(place)?, Some(port).filter(|port| *port > 0)?, percent_decoded(context)?))
    };
    let (host, port, context) = read().ok_or_else(|| undecodable("its name is not host:port_context"))?;
    let data = Object::from_iter([("context".to_owned(), Value::from(context))]);
    Ok(Fields { name: name.to_owned(), host: Some(host), port: Some(port), data, ..Fields::default() })
}
