//! `payload = "auto"`: which format a path's nodes are in, by their look. Names and data in, a format out.
//!
//! Each node speaks for one format at most, and only where it says so by itself: an empty node named `web1` could be
//! anything. The format that most nodes speak for is taken for all of them, in whatever order they are given.

use serde_json::Value;

use super::field::{Object, host_and_port, sequence};
use super::{Format, decode, nerve, patroni, serverset};
use crate::decide::member::MAX_DATA;
use crate::sighting::{Members, Reading};

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

#[cfg(test)]
mod tests {
    use super::super::tests::samples;
    use super::*;
    use std::sync::Arc;

    fn nodes(list: &[(&str, &str)]) -> Members {
        list.iter().map(|(name, data)| (Arc::from(*name), Ok(Arc::from(data.as_bytes())))).collect()
    }

    #[test]
    fn each_format_is_told_by_its_look() {
        for (format, nodes) in samples() {
            for (name, data) in &nodes {
                let chosen = look(name, &Ok(Arc::from(data.as_bytes())));
                let told = if format == Format::HostPort { Format::Nextdoor } else { format.clone() };
                assert_eq!(chosen, Some(told), "{name} {data}");
            }
        }
    }

    #[test]
    fn most_nodes_decide_and_nothing_else() {
        let nerve = (r"i-1_0000000001", r#"{"host":"a","port":1}"#);
        let other = (r"i-2_0000000002", r#"{"host":"a","port":2}"#);
        for (list, expected) in [
            (&[][..], None),
            (&[("web1", ""), ("x", "y"), ("lock_", "{}"), ("a b:x", "5")][..], None),
            (&[("h:1", ""), nerve, other][..], Some(Format::Nerve)),
            (&[("h:1", ""), ("h:2", ""), nerve][..], Some(Format::Nextdoor)),
            (&[("h:1", ""), nerve][..], Some(Format::Nerve)),
            (&[("web1", ""), ("web2", ""), ("h:1", "")][..], Some(Format::Nextdoor)),
            (&[("h:1", r#"{"host":"a","port":1}"#)][..], Some(Format::Nextdoor)),
            (&[("i-1_1", r#"{"host":"a b","port":1}"#)][..], None),
        ] {
            assert_eq!(choose(&nodes(list)), expected, "{list:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_speaks_for_nothing() {
        assert_eq!(look("h:1", &Err("no permission".into())), None);
        assert_eq!(look("h:1", &Ok(Arc::from(vec![b'x'; MAX_DATA + 1]))), None);
        assert_eq!(look("h:1", &Ok(Arc::from(&b"\xff"[..]))), Some(Format::Nextdoor));
        assert_eq!(look("h\u{2028}:1", &Ok(Arc::from(&b""[..]))), None);
    }
}
