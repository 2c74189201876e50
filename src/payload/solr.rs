//! `/live_nodes/<host>:<port>_<context>`, as Solr's nodes write it, without data.

use serde_json::Value;

use super::field::{Object, host, host_and_port, percent_decoded, undecodable};
use crate::decide::{Fields, Quarantine};

/// Makes a member's fields of a node's name.
pub fn decode(name: &str) -> Result<Fields, Quarantine> {
    let read = || {
        // A host may have an underscore too: the context begins behind the port.
        let colon = name.find("]:").map_or_else(|| name.find(':'), |bracket| Some(bracket + 1))?;
        let (port, context) = name[colon + 1..].split_once('_')?;
        let (place, port) = host_and_port(&name[..=colon + port.len()])?;
        Some((host(place)?, Some(port).filter(|port| *port > 0)?, percent_decoded(context)?))
    };
    let (host, port, context) = read().ok_or_else(|| undecodable("its name is not host:port_context"))?;
    let data = Object::from_iter([("context".to_owned(), Value::from(context))]);
    Ok(Fields { name: name.to_owned(), host: Some(host), port: Some(port), data, ..Fields::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_all() {
        for (name, host, port, context) in [
            ("10.0.0.1:8983_solr", "10.0.0.1", 8983, "solr"),
            ("solr_1:8983_a%2Fb_c", "solr_1", 8983, "a/b_c"),
            ("h:8983_", "h", 8983, ""),
            ("[2001:db8::1]:8983_solr", "2001:db8::1", 8983, "solr"),
        ] {
            let fields = decode(name).unwrap();
            assert_eq!((fields.host.as_deref(), fields.port), (Some(host), Some(port)), "{name}");
            assert_eq!(fields.data["context"], context, "{name}");
        }
        for name in ["h:8983", "h_solr", ":1_solr", "h:x_solr", "a b:1_solr", "h:0_solr", "h:1_%ff", "", "]:", "é:1_é"]
        {
            assert!(decode(name).is_err(), "{name}");
        }
    }
}
