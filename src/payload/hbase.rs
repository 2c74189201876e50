//! `/hbase/rs/<host>,<port>,<start code>`, as HBase's region servers write it. The data is binary and ignored.

use serde_json::Value;

use super::field::{Object, digits, host, undecodable};
use crate::model::member::Fields;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// Decodes a node name.
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
