//! Names of servers.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServerName {
    pub host: String,
    pub port: u16,
}

impl ServerName {
    /// Parses `host:port`; an IPv6 address is in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Some(Self { host: host.trim_start_matches('[').trim_end_matches(']').to_owned(), port: port.parse().ok()? })
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brackets = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}{}{}:{}", brackets.0, self.host, brackets.1, self.port)
    }
}

/// A server that the ensemble or Exhibitor names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnedServer {
    /// A host name or an address.
    pub host: String,
    /// The port for this kind of connection (with TLS or without); `None` for the configured one.
    pub port: Option<u16>,
}

/// Whether a text is an address or a possible host name. Learned names are not trusted to be one.
pub fn is_host(text: &str) -> bool {
    let is_name = || text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    text.parse::<IpAddr>().is_ok() || (!text.is_empty() && text.len() <= 253 && is_name())
}
