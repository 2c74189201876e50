//! `payload = "auto"`: which format a path's nodes are in, by their look. Names and data in, a format out.
//!
//! Each node speaks for one format at most, and only where it says so by itself: an empty node named `web1` could be
//! anything. The format that most nodes speak for is taken for all of them, in whatever order they are given.

use serde_json::Value;

use super::field::{Object, host_and_port, sequence};
use super::{Format, decode, nerve, patroni, serverset};
use crate::model::quarantine::MAX_DATA;
use crate::model::registry_event::{Members, Reading};

#[cfg(test)]
mod tests;

/// What reads nodes that speak for no format: every child is a member, with its name as its host.
pub const FALLBACK: Format = Format::Nextdoor;

/// The formats that a look can tell, the most particular first; of two with as many nodes the first is taken.
const TOLD: [Format; 9] = [
    Format::Dubbo,
    Format::Serverset,
    Format::Curator,
    Format::Patroni,
    Format::Kafka,
    Format::Nerve,
    Format::Hbase,
    Format::Solr,
    Format::Nextdoor,
];

/// The format of a path's nodes; `None` while none of them speaks for any.
#[must_use]
pub fn choose(nodes: &Members) -> Option<Format> {
    let mut votes = [0_usize; TOLD.len()];
    for (name, reading) in nodes {
        if let Some(at) = told(name, reading) {
            votes[at] += 1;
        }
    }
    let most = votes.iter().copied().max().filter(|most| *most > 0)?;
    votes.iter().position(|count| *count == most).map(|at| TOLD[at].clone())
}

/// The format that one node speaks for.
#[must_use]
pub fn look(name: &str, reading: &Reading) -> Option<Format> {
    told(name, reading).map(|at| TOLD[at].clone())
}

fn told(name: &str, reading: &Reading) -> Option<usize> {
    // A node that no format could read speaks for none.
    let bytes = reading.as_ref().ok().filter(|bytes| bytes.len().max(name.len()) <= MAX_DATA)?;
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let data = match serde_json::from_str(text) {
        Ok(Value::Object(data)) => data,
        _ => Object::new(),
    };
    TOLD.iter().position(|format| is_like(format, name, text, &data) && decode(format, name, reading).is_ok())
}

fn is_like(format: &Format, name: &str, text: &str, data: &Object) -> bool {
    let has = |keys: &[&str]| keys.iter().all(|key| data.contains_key(*key));
    match format {
        Format::Dubbo => ["%3A%2F%2F", "%3a%2f%2f"].iter().any(|mark| name.contains(mark)),
        Format::Serverset => {
            (name.starts_with(serverset::MEMBER) && has(&["serviceEndpoint"]))
                || (name.starts_with(serverset::VECTOR) && has(&["vector"]))
        }
        Format::Curator => has(&["address", "id"]) && (has(&["serviceType"]) || has(&["registrationTimeUTC"])),
        Format::Patroni => has(&["conn_url", "state"]) || patroni::legacy(text).is_some(),
        Format::Kafka => has(&["jmx_port", "version"]) && (has(&["endpoints"]) || has(&["host", "port"])),
        Format::Nerve => {
            sequence(name).is_some() && (has(&["host", "port"]) || (nerve::encoded(name).is_some() && text.is_empty()))
        }
        Format::Hbase => name.contains(','),
        Format::Solr => data.is_empty() && name.contains('_'),
        Format::Nextdoor => host_and_port(name).is_some(),
        Format::HostPort | Format::ServersetAll | Format::Custom(_) => false,
    }
}
