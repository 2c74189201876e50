//! `/hbase/rs/<host>,<port>,<start code>`, as HBase's region servers write it. Their data is a binary of HBase's own.

use serde_json::Value;

use super::field::{Object, digits, host, undecodable};
use crate::decide::{Fields, Quarantine};

/// Makes a member's fields of a node's name.
pub fn decode(name: &str) -> Result<Fields, Quarantine> {
    let read = || {
        let (place, start) = name.rsplit_once(',')?;
        let (place, port) = place.rsplit_once(',')?;
        Some((host(place)?, digits::<u16>(port).filter(|port| *port > 0)?, digits::<u64>(start)?))
    };
    let (host, port, start) = read().ok_or_else(|| undecodable("its name is not host,port,startcode"))?;
    let data = Object::from_iter([("startcode".to_owned(), Value::from(start))]);
    Ok(Fields { name: name.to_owned(), host: Some(host), port: Some(port), data, ..Fields::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_all() {
        let fields = decode("rs1.example.com,16020,1769292890155").unwrap();
        assert_eq!((fields.host.as_deref(), fields.port), (Some("rs1.example.com"), Some(16020)));
        assert_eq!(fields.data["startcode"], 1_769_292_890_155_u64);
        for name in ["rs1,16020", "rs1", "rs1,x,1", "rs1,1,x", ",1,1", "a b,1,1", "rs1,0,1", "rs1,99999,1"] {
            assert!(decode(name).is_err(), "{name}");
        }
    }
}
