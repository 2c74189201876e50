//! Helpers for all formats: typed fields from names and JSON.

use std::net::{IpAddr, Ipv6Addr};

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::json;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// A JSON object.
pub type Object = Map<String, Value>;

/// URL-safe base64, with or without padding: both are in use.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A node does not match its format. `why` never contains text of the node: it may be a secret or break a line.
pub fn undecodable(why: impl Into<String>) -> Quarantine {
    Quarantine::Undecodable(why.into())
}

/// Parses data as a JSON object.
pub fn object(bytes: &[u8]) -> Result<Object, Quarantine> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let parsed = match std::str::from_utf8(bytes) {
        Ok(text) => json::parse(text),
        Err(_) => serde_json::from_slice(bytes),
    };
    match parsed {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(undecodable("its data is JSON but not an object")),
        Err(_) if bytes.iter().all(u8::is_ascii_whitespace) => Err(undecodable("it has no data")),
        Err(error) => Err(undecodable(format!("its data is not JSON: {error}"))),
    }
}

/// A text without the byte order mark that some editors begin a file with.
pub fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Parses a JSON object in URL-safe base64.
pub fn base64_object(text: &str) -> Option<Object> {
    object(&BASE64.decode(text).ok()?).ok()
}

/// Parses an address or a host name, which has no characters that another program could split on. An IPv6 address may
/// be in brackets; they are removed.
pub fn host(text: &str) -> Option<String> {
    let bare = unbracketed(text);
    let is_name = |text: &str| {
        (1..=253).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    (bare.parse::<IpAddr>().is_ok() || is_name(text)).then(|| bare.to_owned())
}

/// The host in a required field.
pub fn host_of(object: &Object, key: &str) -> Result<String, Quarantine> {
    let text = match object.get(key) {
        Some(Value::String(text)) => text,
        None | Some(Value::Null) => return Err(undecodable(format!("its data has no {key}"))),
        Some(_) => return Err(undecodable(format!("{key} in its data is not a string"))),
    };
    host(text).ok_or_else(|| undecodable(format!("{key} in its data is neither a host name nor an address")))
}

/// The port in an optional field.
pub fn port_of(object: &Object, key: &str) -> Result<Option<u16>, Quarantine> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match port(value) {
            Some(port) => Ok(Some(port)),
            None => Err(undecodable(format!("{key} in its data is not a valid port"))),
        },
    }
}

/// Parses a port, given as a number or as digits.
pub fn port(value: &Value) -> Option<u16> {
    let text = text(value)?;
    let text = text.trim();
    // Some languages have no integers: 8080.0.
    digits(text.strip_suffix(".0").unwrap_or(text)).filter(|port| *port > 0)
}

/// Whether the value of a field for a port says that there is none: null, an empty text, or 0.
pub fn is_no_port(value: &Value) -> bool {
    value.is_null() || text(value).is_some_and(|text| matches!(text.trim(), "" | "0" | "0.0"))
}

/// Parses digits only: `str::parse` would accept a sign.
pub fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    json::is_digits(text).then(|| text.parse().ok()).flatten()
}

/// Parses a finite weight, given as a number or as text.
pub fn weight(value: &Value) -> Option<f64> {
    let weight = match value {
        Value::String(text) => text.trim().parse().ok(),
        _ => value.as_f64(),
    };
    weight.filter(|weight: &f64| weight.is_finite())
}

/// Parses an integer, given as a number or as text.
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        _ => value.as_i64(),
    }
}

/// Parses a boolean, given as such or as text.
pub fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
        _ => value.as_bool(),
    }
}

/// A string, or a number as text.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Splits `host:port`. An IPv6 host may be in brackets or bare. The port may be 0.
pub fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = host_and_digits(text)?;
    Some((host, digits(port)?))
}

/// The same for any number.
pub fn host_and_digits(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':').filter(|(_, port)| json::is_digits(port))?;
    let bare = unbracketed(host);
    let is_whole = !host.is_empty() && (!bare.contains(':') || bare.parse::<Ipv6Addr>().is_ok());
    is_whole.then_some((bare, port))
}

/// Removes the brackets of an IPv6 address.
pub fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The sequence number that ZooKeeper appended to the name, after the last `_`.
pub fn sequence(name: &str) -> Option<u64> {
    name.rsplit_once('_').and_then(|(_, number)| digits(number))
}

/// Decodes `%20` and the like (RFC 3986, section 2.1); `None` if the result is not UTF-8. A `%` without two hex digits
/// is kept.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let escaped = match behind {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        let (byte, behind) = match escaped {
            Some((high, low)) => (high * 16 + low, &behind[2..]),
            None => (*first, behind),
        };
        out.push(byte);
        rest = behind;
    }
    String::from_utf8(out).ok()
}

/// The parts of a URL, without credentials.
pub struct Url<'a> {
    /// The part before `://`.
    pub scheme: &'a str,
    /// The host; an IPv6 address has no brackets.
    pub host: String,
    /// The port.
    pub port: Option<u16>,
    /// The path without its leading `/`.
    pub path: &'a str,
    /// The part after `?`.
    pub query: &'a str,
}

impl<'a> Url<'a> {
    /// Parses a URL; `None` if it is not one, or if its host is invalid.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at(end);
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        let (name, port) = match host_and_port(place) {
            Some((name, port)) => (name, Some(port)),
            None => (place, None),
        };
        let behind = behind.split('#').next().unwrap_or_default();
        let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
        let path = path.strip_prefix('/').unwrap_or(path);
        Some(Self { scheme, host: host(name)?, port: port.filter(|port| *port > 0), path, query })
    }

    /// The parameters of the query, not decoded.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }
}
