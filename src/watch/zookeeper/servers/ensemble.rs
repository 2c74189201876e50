//! What an ensemble says of itself in `/zookeeper/config` ("ZooKeeper Dynamic Reconfiguration"), read.
//!
//! One line a server, `server.1=zk1:2888:3888:participant;zk1:2181`, and a version. Servers whose configuration is
//! static leave out where clients connect, and an ensemble of one server says nothing at all.

use super::{NamedServer, is_host};

#[cfg(test)]
mod tests;

/// The most servers that are taken up: server numbers end at 255.
const MOST: usize = 255;

/// An ensemble as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensemble {
    /// Grows with each change; 0 where the configuration is static.
    pub version: u64,
    /// Where clients connect; never empty.
    pub servers: Vec<NamedServer>,
}

/// Reads it. `None` when it names no server that clients of this kind (with TLS or without) could use.
///
/// A line that cannot be read is left out: one that a newer server writes otherwise must not hide the others.
pub fn read(bytes: &[u8], tls: bool) -> Option<Ensemble> {
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
    servers.truncate(MOST);
    (!servers.is_empty()).then_some(Ensemble { version, servers })
}

/// One server: `a:2888:3888|b:2888:3888:participant;CLIENT;SECURE`, both of the last optional. Participants and
/// observers serve clients alike.
fn server(text: &str, tls: bool) -> Option<Vec<NamedServer>> {
    let mut parts = text.split(';');
    let peers: Vec<&str> = parts.next()?.split('|').map(host).collect::<Option<_>>()?;
    let (plain, secure) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (at, is_said) = match (tls, plain, secure) {
        // Its plain port is no place for TLS. The port of the configured servers may be one.
        (true, plain, "") => (plain, false),
        (true, _, secure) => (secure, true),
        // Only TLS is offered.
        (false, "", secure) if !secure.is_empty() => return None,
        (false, plain, _) => (plain, !plain.is_empty()),
    };
    let (address, port) = if at.is_empty() { ("", None) } else { client(at)? };
    let hosts = if address.is_empty() { peers } else { vec![address] };
    let port = port.filter(|_| is_said);
    Some(hosts.into_iter().map(|host| NamedServer { host: host.to_owned(), port }).collect())
}

/// The host of a server's own address: `zk1:2888:3888:participant`, `[2001:db8::1]:2888:3888`.
fn host(text: &str) -> Option<&str> {
    let (host, _) = split(text)?;
    (is_host(host) && !is_any(host)).then_some(host)
}

/// Where clients connect: `zk1:2181`, or just `2181`. An address that stands for all of the server's is empty.
fn client(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if text.contains(':') { split(text)? } else { ("", text) };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    if host.is_empty() || is_any(host) {
        return Some(("", Some(port)));
    }
    is_host(host).then_some((host, Some(port)))
}

/// A host, and what comes after its colon.
fn split(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => text.split_once(':'),
    }
}

/// Whether an address stands for all that the server has.
fn is_any(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_unspecified())
}

/// Whatever a server says of its ensemble, what is learnt can be connected to.
///
/// # Panics
/// It cannot.
#[cfg(any(test, fuzzing))]
pub fn any(bytes: &[u8]) {
    for tls in [false, true] {
        if let Some(read) = read(bytes, tls) {
            assert!((1..=MOST).contains(&read.servers.len()));
            assert!(read.servers.iter().all(|told| is_host(&told.host) && told.port != Some(0)), "{read:?}");
        }
    }
}
