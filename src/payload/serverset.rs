//! `<path>/member_0000000007` with JSON data, as Twitter's server sets, Aurora and finagle write it.
//!
//! As in finagle, only ALIVE nodes are members, unless all are requested, and `vector_*` nodes set their weights. Other
//! nodes are ignored.

use std::collections::BTreeMap;

use serde_json::Value;

use super::field::{Object, host_and_port, host_of, object, port_of, undecodable};
use super::{Parsed, field};
use crate::model::member::Fields;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// The name prefix of members.
pub const MEMBER: &str = "member_";
/// The name prefix of weight vectors.
pub const VECTOR: &str = "vector_";

/// Which nodes are members, by their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statuses {
    /// ALIVE nodes only.
    Alive,
    /// All nodes.
    All,
}

/// Decodes a node.
pub fn decode(name: &str, bytes: &[u8], statuses: Statuses) -> Result<Parsed, Quarantine> {
    if name.starts_with(VECTOR) {
        return object(bytes).map(|data| Parsed::Vector(Vector::parse(&data)));
    }
    if !name.starts_with(MEMBER) {
        return Ok(Parsed::Other);
    }
    let data = object(bytes)?;
    let status = data.get("status").and_then(Value::as_str).unwrap_or("UNKNOWN");
    if statuses == Statuses::Alive && status != "ALIVE" {
        return Ok(Parsed::Other);
    }
    let Some(Value::Object(endpoint)) = data.get("serviceEndpoint") else {
        return Err(undecodable("its data has no serviceEndpoint"));
    };
    let host = host_of(endpoint, "host")?;
    let Some(port) = port_of(endpoint, "port")? else {
        return Err(undecodable("its serviceEndpoint has no port"));
    };
    let id = shard(&data).map_or_else(|| name.to_owned(), |shard| shard.to_string());
    Ok(Parsed::Member(Fields {
        name: name.to_owned(),
        host: Some(host),
        port: Some(port),
        id: Some(id),
        weight: Some(1.0),
        status: Some(status.to_owned()),
        data,
        raw: None,
        sequence: None,
    }))
}

fn shard(data: &Object) -> Option<i64> {
    data.get("shard").and_then(field::integer)
}

/// A weight vector: factors for some members.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    factors: Vec<(Selector, f64)>,
}

/// Which members a factor applies to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Selector {
    Member(String),
    Inet(String, u16),
    Shard(i64),
}

impl Vector {
    /// Parses `{"vector": [{"select": "shard=1", "weight": 1.2}]}`. Unknown selectors are ignored, as in finagle.
    fn parse(data: &Object) -> Self {
        let list = data.get("vector").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let factor = |entry: &Value| {
            let selector = Selector::parse(entry.get("select")?.as_str()?)?;
            let weight = entry.get("weight").map_or(Some(1.0), field::weight)?;
            Some((selector, weight))
        };
        Self { factors: list.iter().filter_map(factor).collect() }
    }
}

/// The combined factors of all vectors, by selector. A lookup does not scan the vectors, so that the cost for many
/// members and many vectors is their sum, not their product.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights(BTreeMap<Selector, f64>);

impl Weights {
    /// Multiplies the factors of the vectors.
    pub fn new<'a>(vectors: impl Iterator<Item = &'a Vector>) -> Self {
        let mut weights = BTreeMap::new();
        for (selector, weight) in vectors.flat_map(|vector| &vector.factors) {
            *weights.entry(selector.clone()).or_insert(1.0) *= weight;
        }
        Self(weights)
    }

    /// The factor for the weight of a member; 1 if no selector matches.
    #[must_use]
    pub fn factor(&self, member: &Fields) -> f64 {
        Selector::all_for(member).filter_map(|selector| self.0.get(&selector)).product()
    }
}

impl Selector {
    fn parse(text: &str) -> Option<Self> {
        let (kind, which) = text.split_once('=')?;
        match kind {
            "member" => Some(Self::Member(which.to_owned())),
            "inet" => host_and_port(which).map(|(host, port)| Self::Inet(host.to_owned(), port)),
            "shard" => which.parse().ok().map(Self::Shard),
            _ => None,
        }
    }

    /// Every selector that matches this member.
    fn all_for(member: &Fields) -> impl Iterator<Item = Self> {
        let inet = member.host.clone().zip(member.port).map(|(host, port)| Self::Inet(host, port));
        let shard = shard(&member.data).map(Self::Shard);
        [Some(Self::Member(member.name.clone())), inet, shard].into_iter().flatten()
    }
}
