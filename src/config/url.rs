//! Registry URLs: `zk://a:2181,b/chroot`, `zks://…`, `dir:PATH`, `https://HOST/PATH`.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use crate::model::digest::digest_bytes;
use crate::model::node_path::NodePath;

use super::problem::ValueError;
use super::scalar;

#[cfg(test)]
mod tests;

/// The default port of ZooKeeper.
const PORT: u16 = 2181;

/// The URL of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryUrl {
    /// `zk://a:2181,b:2181/chroot`, or `zks://` with TLS.
    ZooKeeper {
        /// `host:port`, in the order written; a missing port is 2181.
        servers: Vec<String>,
        /// The node that is used as `/`.
        chroot: Option<NodePath>,
        /// Whether connections use TLS.
        tls: bool,
    },
    /// `dir:PATH`, resolved against the directory of the file that contains it.
    Directory(PathBuf),
    /// `http://…` or `https://…`: one object with all members. `Display` replaces its query by a digest, because it may
    /// contain a signature that gives access.
    Web(String),
}

impl fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZooKeeper { servers, chroot, tls } => {
                write!(f, "{}://{}", if *tls { "zks" } else { "zk" }, servers.join(","))?;
                chroot.as_ref().map_or(Ok(()), |path| path.fmt(f))
            }
            Self::Directory(path) => write!(f, "dir:{}", path.display()),
            Self::Web(url) => match url.split_once('?') {
                Some((start, query)) => write!(f, "{start}?[{:016x}]", digest_bytes(query.as_bytes())),
                None => f.write_str(url),
            },
        }
    }
}

impl RegistryUrl {
    /// Parses a URL. A relative `dir:PATH` starts at `base`.
    ///
    /// # Errors
    /// The invalid part, with a hint.
    pub fn parse(text: &str, base: &Path) -> Result<Self, ValueError> {
        if let Some(rest) = text.strip_prefix("zk://") {
            return zookeeper(rest, false);
        }
        if let Some(rest) = text.strip_prefix("zks://") {
            return zookeeper(rest, true);
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return web(text);
        }
        let Some(path) = text.strip_prefix("dir:") else {
            return Err(ValueError::new(
                format!("{text:?} is not a valid registry URL"),
                "write zk://HOST:PORT,HOST:PORT, zks:// for TLS, dir:PATH, or https://HOST/PATH",
            ));
        };
        if path.is_empty() || path.starts_with("//") {
            return Err(ValueError::new(
                format!("{text:?} does not name a directory"),
                "write dir:/var/lib/registry, or dir:registry for a path relative to this file",
            ));
        }
        Ok(Self::Directory(base.join(path)))
    }
}

/// Parses the part after `zk://`.
fn zookeeper(rest: &str, tls: bool) -> Result<RegistryUrl, ValueError> {
    let without_schemes = rest.replace("zks://", "").replace("zk://", "");
    let (hosts, chroot) = without_schemes.find('/').map_or((&*without_schemes, ""), |at| without_schemes.split_at(at));
    let parts: Vec<(&str, &str)> =
        without_schemes.split(',').map(|part| part.find('/').map_or((part, ""), |at| part.split_at(at))).collect();
    if parts.iter().any(|(host, _)| host.contains('@')) {
        let hint = "put credentials in a separate file: auth = [{ scheme = \"digest\", file = \"zk.auth\" }]";
        // The message does not show the text, which most likely contains a password.
        return Err(ValueError::new("a server name contains an @", hint));
    }
    let scheme = if tls { "zks://" } else { "zk://" };
    let repeated = match (chroot.contains(','), without_schemes != rest) {
        (true, _) => Some("the chroot may appear only once, at the end of the url".to_owned()),
        (_, true) => Some(format!("{scheme} may appear only once, at the start of the url")),
        _ => None,
    };
    if let Some(message) = repeated {
        let hosts: Vec<&str> = parts.iter().map(|(host, _)| *host).collect();
        let chroot = parts.iter().map(|(_, path)| *path).find(|path| !path.is_empty()).unwrap_or_default();
        return Err(ValueError::new(message, format!("write {scheme}{}{chroot}", hosts.join(","))));
    }
    let servers = hosts.split(',').map(|text| server(text, PORT)).collect::<Result<Vec<_>, _>>()?;
    let chroot = match chroot {
        "" | "/" => None,
        path => Some(NodePath::parse(path).map_err(|why| {
            ValueError::new(format!("the chroot {path:?} is not a valid path: {why}"), "write zk://HOST:PORT/PATH")
        })?),
    };
    Ok(RegistryUrl::ZooKeeper { servers, chroot, tls })
}

/// Parses the URL of a web object.
fn web(text: &str) -> Result<RegistryUrl, ValueError> {
    let wrong = |message: String| ValueError::new(message, "write https://HOST/PATH");
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        let hint = "put credentials in a separate file: auth = [{ scheme = \"header\", file = \"web.header\" }]";
        // The message does not show the text, which most likely contains a password.
        return Err(ValueError::new("the host of a registry contains an @", hint));
    }
    server(host, if scheme == "https" { 443 } else { 80 }).map_err(|other| wrong(other.message))?;
    if text.contains('#') || !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
        return Err(wrong("the URL contains a character that must be escaped with %".into()));
    }
    Ok(RegistryUrl::Web(text.to_owned()))
}

/// Parses the URL of an Exhibitor. Returns `http://HOST:PORT`, without the path of the API.
pub fn exhibitor(text: &str) -> Result<String, ValueError> {
    let hint = "write http://HOST:PORT";
    let wrong = |message: String| ValueError::new(message, hint);
    let Some(rest) = text.strip_prefix("http://") else {
        let message = match text.split_once("://") {
            Some((scheme, _)) => format!("rosterd uses http for Exhibitor, not {scheme}"),
            None => format!("{text:?} is not an http:// URL"),
        };
        return Err(wrong(message));
    };
    if rest.contains('@') {
        return Err(wrong("the host name of an Exhibitor contains an @".into()));
    }
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if !["", "/", "/exhibitor/v1/cluster/list"].contains(&path) {
        return Err(wrong(format!("rosterd uses /exhibitor/v1/cluster/list of Exhibitor, not {path}")));
    }
    server(host, 80).map(|server| format!("http://{server}")).map_err(|other| wrong(other.message))
}

/// Parses one server. Returns `host:port`, with an IPv6 address in brackets (RFC 3986, section 3.2.2).
fn server(text: &str, default: u16) -> Result<String, ValueError> {
    let hint = "write HOST:PORT, or [::1]:2181 for an IPv6 address; separate servers with commas";
    let wrong = |message: String| ValueError::new(message, hint);
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or_else(|| wrong(format!("{text:?} has no ]")))?;
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(wrong(format!("{address:?} is not a valid IPv6 address")));
        }
        let port = match after {
            "" => None,
            _ => Some(after.strip_prefix(':').ok_or_else(|| wrong(format!("{text:?} has {after:?} after the ]")))?),
        };
        (format!("[{address}]"), port)
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        (host_name(text, host, hint)?, port)
    };
    let port = match port {
        None => default,
        // Digits only: `str::parse` would accept a sign.
        Some(digits) => digits
            .parse()
            .ok()
            .filter(|port| *port != 0 && scalar::is_digits(digits))
            .ok_or_else(|| wrong(format!("{digits:?} is not a valid port")))?,
    };
    Ok(format!("{host}:{port}"))
}

/// Checks a host name or an IPv4 address.
pub fn host_name(server: &str, host: &str, hint: &str) -> Result<String, ValueError> {
    if host.is_empty() {
        let message =
            if server.is_empty() { "a server name is missing".into() } else { format!("{server:?} has no host") };
        return Err(ValueError::new(message, hint));
    }
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return Err(ValueError::new(format!("{host:?} is not a valid host name"), hint));
    }
    Ok(host.to_owned())
}
