//! Which hosts a request may name.
//!
//! A page of another site can have its own name resolve to 127.0.0.1, and its script then reads what the browser's user
//! can reach there (DNS rebinding). Such a request has the name of that site as its host.

use std::net::IpAddr;

#[cfg(test)]
mod tests;

/// Whether a request on a connection to `local` may name this host, as `NAME`, `NAME:PORT` or `[IPV6]:PORT`. `hosts` are
/// the configured ones. The port does not matter: it may be forwarded from another one.
pub fn is_allowed(authority: &str, local: IpAddr, hosts: &[String]) -> bool {
    let Some(host) = host_of(authority) else { return false };
    match host.parse::<IpAddr>() {
        Ok(ip) => {
            let ip = ip.to_canonical();
            ip.is_loopback() || ip == local.to_canonical() || hosts.contains(&ip.to_string())
        }
        Err(_) => {
            host.eq_ignore_ascii_case("localhost") || hosts.iter().any(|allowed| host.eq_ignore_ascii_case(allowed))
        }
    }
}

/// The host without its port and without brackets; `None` if this is neither.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    (port.is_empty() || (port.starts_with(':') && digits.bytes().all(|byte| byte.is_ascii_digit()))).then_some(host)
}
