//! `payload = "auto"`: detects the format of the nodes of a path from their names and data.
//!
//! Each node indicates one format at most, and only if it is unambiguous: an empty node named `web1` could be anything.
//! The format that most nodes indicate is used for all of them. The order of the nodes does not matter.

use super::field::{Object, object, sequence};
use super::{Format, decode, nerve, nextdoor, patroni, serverset};
use crate::model::quarantine::MAX_DATA;
use crate::model::registry_event::{Members, NodeKind, Reading};

#[cfg(test)]
mod tests;

/// The format used if no node indicates one: the name of a member is its host.
pub const FALLBACK: Format = Format::Nextdoor;

/// The formats that can be detected, the most specific first. On a tie the earlier one wins.
///
/// Those of kazoo's recipes are not among them: one contender's node beside servers would rename or hide them all.
const DETECTABLE: [Format; 9] = [
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

/// Detects the format of all nodes of a path; `None` if no node indicates one.
#[must_use]
pub fn detect(nodes: &Members) -> Option<Format> {
    let mut votes = [0_usize; DETECTABLE.len()];
    for (name, reading) in nodes {
        if let Some(at) = position(name, reading) {
            votes[at] += 1;
        }
    }
    let most = votes.iter().copied().max().filter(|most| *most > 0)?;
    votes.iter().position(|count| *count == most).map(|at| DETECTABLE[at].clone())
}

/// Detects the format that one node indicates.
#[must_use]
pub fn detect_node(name: &str, reading: &Reading) -> Option<Format> {
    position(name, reading).map(|at| DETECTABLE[at].clone())
}

fn position(name: &str, reading: &Reading) -> Option<usize> {
    // A node that cannot be decoded, or that holds others, indicates no format.
    let node = reading.as_ref().ok().filter(|node| node.kind != NodeKind::Parent)?;
    let bytes = Some(&node.data).filter(|bytes| bytes.len().max(name.len()) <= MAX_DATA)?;
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let data = object(bytes).unwrap_or_default();
    DETECTABLE.iter().position(|format| matches(format, name, text, &data) && decode(format, name, reading).is_ok())
}

fn matches(format: &Format, name: &str, text: &str, data: &Object) -> bool {
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
        Format::Nextdoor => nextdoor::place(name).is_some(),
        Format::HostPort
        | Format::ServersetAll
        | Format::Lock
        | Format::Party
        | Format::ShallowParty
        | Format::Custom(_) => false,
    }
}
