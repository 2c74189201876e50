//! `/service/<scope>/members/<name>` with JSON data, as Patroni writes it. `role` tells the leader.

use serde_json::Value;

use super::field::{Object, Url, object, text, undecodable};
use crate::model::member::Fields;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// PostgreSQL's default port.
const PORT: u16 = 5432;

/// The schemes of a connection URL.
const SCHEMES: [&str; 2] = ["postgres", "postgresql"];

/// Decodes a node. Before Patroni 1.0 the data was the connection URL itself, with the URL of the REST API in its
/// query.
pub fn decode(name: &str, bytes: &[u8]) -> Result<Fields, Quarantine> {
    let data = match std::str::from_utf8(bytes).ok().and_then(legacy) {
        Some(data) => data,
        None => object(bytes)?,
    };
    let Some(url) = data.get("conn_url").and_then(Value::as_str) else {
        return Err(undecodable("its data has no conn_url"));
    };
    let url = Url::parse(url)
        .filter(|url| SCHEMES.contains(&url.scheme))
        .ok_or_else(|| undecodable("conn_url in its data is not a PostgreSQL URL"))?;
    let (host, port) = (Some(url.host), Some(url.port.unwrap_or(PORT)));
    let status = data.get("state").and_then(text);
    Ok(Fields { name: name.to_owned(), host, port, status, data, ..Fields::default() })
}

/// Parses data that is a connection URL.
pub fn legacy(text: &str) -> Option<Object> {
    let text = text.trim();
    let scheme = text.split_once("://")?.0;
    if !SCHEMES.contains(&scheme) {
        return None;
    }
    let (conn, api) = text.split_once("?application_name=").map_or((text, None), |(conn, api)| (conn, Some(api)));
    let mut data = Object::from_iter([("conn_url".to_owned(), Value::from(conn))]);
    data.extend(api.map(|api| ("api_url".to_owned(), Value::from(api))));
    Some(data)
}
