//! Parses `/zookeeper/config`, in which an ensemble lists its servers ("ZooKeeper Dynamic Reconfiguration").
//!
//! It has a line for each server, `server.1=zk1:2888:3888:participant;zk1:2181`, and a version. A static configuration
//! leaves out the address for clients, and an ensemble of one server has no list.

use super::name::{LearnedServer, is_host};

#[cfg(test)]
mod tests;

/// The most servers in a list: server numbers end at 255.
const MAX_SERVERS: usize = 255;

/// The list of servers of an ensemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensemble {
    /// Grows with each change; 0 for a static configuration.
    pub version: u64,
    /// The servers, at least one.
    pub servers: Vec<LearnedServer>,
}

/// Parses a list; `None` if it names no server for this kind of connection (with TLS or without).
///
/// A malformed line is ignored: a line of a newer server must not hide the others.
pub fn parse(bytes: &[u8], tls: bool) -> Option<Ensemble> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut version = 0;
    let mut servers = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        if key.trim() == "version" {
            version = u64::from_str_radix(value.trim(), 16).ok()?;
        } else if key.trim().starts_with("server.") {
            servers.extend(server(value.trim(), tls).unwrap_or_default());
        }
    }
    servers.truncate(MAX_SERVERS);
    (!servers.is_empty()).then_some(Ensemble { version, servers })
}

/// Parses one server: `a:2888:3888|b:2888:3888:participant;CLIENT;SECURE`, where the last two are optional. Observers
/// serve clients as participants do.
fn server(text: &str, tls: bool) -> Option<Vec<LearnedServer>> {
    let mut parts = text.split(';');
    let peers: Vec<&str> = parts.next()?.split('|').map(host).collect::<Option<_>>()?;
    let (plain, secure) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (client, has_port) = match (tls, plain, secure) {
        // The plain port does not speak TLS; the configured port may.
        (true, plain, "") => (plain, false),
        (true, _, secure) => (secure, true),
        // The server offers only TLS.
        (false, "", secure) if !secure.is_empty() => return None,
        (false, plain, _) => (plain, !plain.is_empty()),
    };
    let (address, port) = if client.is_empty() { ("", None) } else { client_address(client)? };
    let hosts = if address.is_empty() { peers } else { vec![address] };
    let port = port.filter(|_| has_port);
    Some(hosts.into_iter().map(|host| LearnedServer { host: host.to_owned(), port }).collect())
}

/// The host of an address for other servers: `zk1:2888:3888:participant`, `[2001:db8::1]:2888:3888`.
fn host(text: &str) -> Option<&str> {
    let (host, _) = split(text)?;
    (is_host(host) && !is_wildcard(host)).then_some(host)
}

/// The address for clients: `zk1:2181`, or only `2181`. The host is empty if it stands for all addresses of the server.
fn client_address(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if text.contains(':') { split(text)? } else { ("", text) };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    if host.is_empty() || is_wildcard(host) {
        return Some(("", Some(port)));
    }
    is_host(host).then_some((host, Some(port)))
}

/// A host, and what follows its colon.
fn split(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => text.split_once(':'),
    }
}

/// Whether an address stands for all addresses of the server.
fn is_wildcard(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_unspecified())
}

/// Parses any bytes, for a fuzzer: every server in the result can be connected to.
///
/// # Panics
/// One cannot.
#[cfg(any(test, fuzzing))]
pub fn any(bytes: &[u8]) {
    for tls in [false, true] {
        if let Some(ensemble) = parse(bytes, tls) {
            assert!((1..=MAX_SERVERS).contains(&ensemble.servers.len()));
            assert!(ensemble.servers.iter().all(|known| is_host(&known.host) && known.port != Some(0)), "{ensemble:?}");
        }
    }
}
