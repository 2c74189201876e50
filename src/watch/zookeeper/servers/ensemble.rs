//! What an ensemble says of itself in `/zookeeper/config` ("ZooKeeper Dynamic Reconfiguration"), read.
//!
//! One line a server, `server.1=zk1:2888:3888:participant;zk1:2181`, and a version. Servers whose configuration is
//! static leave out where clients connect, and an ensemble of one server says nothing at all.

use super::{Told, is_host};

/// The most servers that are taken up: server numbers end at 255.
const MOST: usize = 255;

/// An ensemble as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensemble {
    /// Grows with each change; 0 where the configuration is static.
    pub version: u64,
    /// Where clients connect; never empty.
    pub servers: Vec<Told>,
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
fn server(text: &str, tls: bool) -> Option<Vec<Told>> {
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
    Some(hosts.into_iter().map(|host| Told { host: host.to_owned(), port }).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As `host:port`, with `?` where no port is said.
    fn shown(text: &str, tls: bool) -> Option<(u64, String)> {
        let read = read(text.as_bytes(), tls)?;
        let port = |told: &Told| told.port.map_or("?".to_owned(), |port| port.to_string());
        let servers: Vec<String> = read.servers.iter().map(|told| format!("{} {}", told.host, port(told))).collect();
        Some((read.version, servers.join(", ")))
    }

    #[test]
    fn what_servers_say_is_read() {
        for (text, version, plain, secure) in [
            // As ZooKeeper 3.8 writes it: no line break at the end.
            (
                "server.1=127.0.0.1:22881:23881:participant;127.0.0.1:21811\nversion=100000003",
                0x1_0000_0003,
                "127.0.0.1 21811",
                "127.0.0.1 ?",
            ),
            (
                "server.2=zoo2.example.com:2888:3888:observer;0.0.0.0:2181\nversion=0",
                0,
                "zoo2.example.com 2181",
                "zoo2.example.com ?",
            ),
            (
                "server.3=[2001:db8:0:0:0:0:0:3]:2888:3888:observer;[2001:db8:0:0:0:0:0:3]:2181",
                0,
                "2001:db8:0:0:0:0:0:3 2181",
                "2001:db8:0:0:0:0:0:3 ?",
            ),
            ("server.1=a:1:2:participant;[0:0:0:0:0:0:0:0]:2181", 0, "a 2181", "a ?"),
            ("server.1=a:1:2:participant;2181", 0, "a 2181", "a ?"),
            ("server.1=a:1:2;b:2181", 0, "b 2181", "b ?"),
            // Static: without a client's port.
            ("server.1=a:1:2:participant\nserver.2=b:1:2:participant", 0, "a ?, b ?", "a ?, b ?"),
            // Several addresses of one server.
            ("server.1=a:1:2|b:1:2:participant;0.0.0.0:2181\nversion=a", 10, "a 2181, b 2181", "a ?, b ?"),
            ("server.1=a:1:2|[::1]:1:2:participant", 0, "a ?, ::1 ?", "a ?, ::1 ?"),
            // A port for TLS, beside the plain one and alone.
            ("server.1=a:1:2:participant;b:2181;c:2281", 0, "b 2181", "c 2281"),
            ("server.1=a:1:2:participant;0.0.0.0:2181;0.0.0.0:2281", 0, "a 2181", "a 2281"),
            ("server.1=a:1:2:participant;;c:2281\nserver.2=b:1:2;2181", 0, "b 2181", "c 2281, b ?"),
            // What is not known, and what is wrong, hides nothing.
            ("group.1=1:2\nweight.1=1\n\nx\nserver.1=a:1:2;2181\nserver.2=\nserver.3=!:1:2;3", 0, "a 2181", "a ?"),
            ("server.1=0.0.0.0:1:2;2181\nserver.2=b:1:2;2181", 0, "b 2181", "b ?"),
            ("server.1=a:1:2;0\nserver.2=a:1:2;99999\nserver.3=b:1:2;2181", 0, "b 2181", "b ?"),
            (" server.1 = a:1:2:participant;0.0.0.0:2181 \r\nversion= 1f \r\n", 31, "a 2181", "a ?"),
        ] {
            assert_eq!(shown(text, false), Some((version, plain.to_owned())), "{text}");
            assert_eq!(shown(text, true), Some((version, secure.to_owned())), "{text}, by TLS");
        }
    }

    #[test]
    fn what_names_no_server_teaches_nothing() {
        for text in ["", "version=1", "server.1=a", "server.1=0.0.0.0:1:2;0.0.0.0:2181", "version=x\nserver.1=a:1:2;1"]
        {
            assert_eq!(shown(text, false), None, "{text}");
        }
        assert_eq!(shown("server.1=a:1:2;;b:2281", false), None, "a port for TLS is none for zk://");
        assert_eq!(read(b"server.1=a:1:2;1\n\xff", false), None);
        let many: Vec<String> = (0..300).map(|i| format!("server.{i}=h{i}:1:2;2181")).collect();
        assert_eq!(read(many.join("\n").as_bytes(), false).map(|read| read.servers.len()), Some(MOST));
    }

    proptest! {
        #![proptest_config(crate::testing::config(1_000, 1_000_000))]

        #[test]
        fn whatever_is_said_what_is_learnt_can_be_connected_to(text in "(server\\.1=|version=|[a-z0-9:;|.\\[\\]\n=]){0,40}") {
            super::any(text.as_bytes());
        }
    }
}
