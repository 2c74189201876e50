//! `<path>/member_0000000007` with JSON data, as Twitter's server sets, Aurora and finagle write it.
//!
//! As finagle does, only what is ALIVE is a member, unless all are asked for; `vector_*` beside them weigh them; other
//! nodes are nobody's concern.

use std::collections::BTreeMap;

use serde_json::Value;

use super::field::{Object, host_and_port, host_of, object, port_of, undecodable};
use super::{Decoded, field};
use crate::model::member::Fields;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// What the names of members begin with.
pub const MEMBER: &str = "member_";
/// What the names of vectors begin with.
pub const VECTOR: &str = "vector_";

/// Which of them are members, by their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statuses {
    /// Those that are ALIVE.
    Alive,
    /// All.
    All,
}

/// Reads a node by its name.
pub fn decode(name: &str, bytes: &[u8], statuses: Statuses) -> Result<Decoded, Quarantine> {
    if name.starts_with(VECTOR) {
        return object(bytes).map(|data| Decoded::Vector(Vector::of(&data)));
    }
    if !name.starts_with(MEMBER) {
        return Ok(Decoded::Other);
    }
    let data = object(bytes)?;
    let status = data.get("status").and_then(Value::as_str).unwrap_or("UNKNOWN");
    if statuses == Statuses::Alive && status != "ALIVE" {
        return Ok(Decoded::Other);
    }
    let Some(Value::Object(endpoint)) = data.get("serviceEndpoint") else {
        return Err(undecodable("its data has no serviceEndpoint"));
    };
    let host = host_of(endpoint, "host")?;
    let Some(port) = port_of(endpoint, "port")? else {
        return Err(undecodable("its serviceEndpoint has no port"));
    };
    let id = shard(&data).map_or_else(|| name.to_owned(), |shard| shard.to_string());
    Ok(Decoded::Member(Fields {
        name: name.to_owned(),
        host: Some(host),
        port: Some(port),
        id: Some(id),
        weight: Some(1.0),
        status: Some(status.to_owned()),
        data,
        raw: None,
    }))
}

fn shard(data: &Object) -> Option<i64> {
    data.get("shard").and_then(Value::as_i64)
}

/// What one `vector_*` says of its members' weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    factors: Vec<(Selector, f64)>,
}

/// Which members a factor is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Selector {
    Member(String),
    Inet(String, u16),
    Shard(i64),
}

impl Vector {
    /// Reads `{"vector": [{"select": "shard=1", "weight": 1.2}]}`. What selects nothing that is known weighs nothing, as
    /// with finagle.
    fn of(data: &Object) -> Self {
        let list = data.get("vector").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let factor = |entry: &Value| {
            let selector = Selector::parse(entry.get("select")?.as_str()?)?;
            let weight = entry.get("weight").map_or(Some(1.0), field::weight)?;
            Some((selector, weight))
        };
        Self { factors: list.iter().filter_map(factor).collect() }
    }
}

/// What all vectors of a path say, by what they select: a member is weighed without looking at each of them, so that
/// many members with many vectors cost no more than both.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights(BTreeMap<Selector, f64>);

impl Weights {
    /// What these vectors say.
    pub fn of<'a>(vectors: impl Iterator<Item = &'a Vector>) -> Self {
        let mut weights = BTreeMap::new();
        for (selector, weight) in vectors.flat_map(|vector| &vector.factors) {
            *weights.entry(selector.clone()).or_insert(1.0) *= weight;
        }
        Self(weights)
    }

    /// By how much a member's weight is multiplied: by 1 where nothing is said of it.
    #[must_use]
    pub fn weighs(&self, member: &Fields) -> f64 {
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

    /// All that select this member.
    fn all_for(member: &Fields) -> impl Iterator<Item = Self> {
        let inet = member.host.clone().zip(member.port).map(|(host, port)| Self::Inet(host, port));
        let shard = shard(&member.data).map(Self::Shard);
        [Some(Self::Member(member.name.clone())), inet, shard].into_iter().flatten()
    }
}
