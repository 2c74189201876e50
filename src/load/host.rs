//! The facts about this host: name, full name and address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;
use std::{fs, thread};

use crate::decide::Event;
use crate::log::emit;

#[cfg(test)]
mod tests;

/// The time limit for resolving the full name. A dead name server must not delay the start.
const RESOLVER_LIMIT: Duration = Duration::from_secs(2);

/// The values of `{{ host.name }}`, `{{ host.fqdn }}` and `{{ host.ip }}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// As `hostname` prints it.
    pub name: String,
    /// The full name, as from Python's `socket.getfqdn()`: zk_watcher and nd_service_registry register with it.
    pub fqdn: String,
    /// The source address of packets to other networks.
    pub ip: IpAddr,
}

/// What is known of this host. Known values never change, so that files do not change with the resolver or the routes.
/// Clones share the full name.
#[derive(Debug, Clone)]
pub struct ThisHost {
    /// As `hostname` prints it.
    pub name: String,
    ip: Option<IpAddr>,
    /// Empty until it is needed, because resolving it takes up to 2 s.
    fqdn: Arc<OnceLock<Option<String>>>,
}

impl ThisHost {
    /// Gets everything except the full name from the system.
    #[must_use]
    pub fn find() -> Self {
        Self { name: name(), ip: outward().or_else(first_interface), fqdn: Arc::default() }
    }

    /// The same host, with a retry of what could not be determined.
    #[must_use]
    pub fn again(&self) -> Self {
        let failed = matches!(self.fqdn.get(), Some(None));
        Self {
            name: self.name.clone(),
            ip: self.ip.or_else(outward).or_else(first_interface),
            fqdn: if failed { Arc::default() } else { Arc::clone(&self.fqdn) },
        }
    }

    /// The host with its full name. The first call resolves it. If that fails, the full name is the name.
    #[must_use]
    pub fn full(&self) -> Host {
        let fqdn = self.fqdn.get_or_init(|| resolve_fqdn(&self.name));
        Host { fqdn: fqdn.clone().unwrap_or_else(|| self.name.clone()), ..self.short() }
    }

    /// The host with its name in place of the full name, without using the resolver.
    #[must_use]
    pub fn short(&self) -> Host {
        let ip = self.ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Host { name: self.name.clone(), fqdn: self.name.clone(), ip }
    }
}

impl From<Host> for ThisHost {
    /// Creates a host from known values.
    fn from(host: Host) -> Self {
        Self { name: host.name, ip: Some(host.ip), fqdn: Arc::new(OnceLock::from(Some(host.fqdn))) }
    }
}

/// The name of this host, as `hostname` prints it.
#[must_use]
pub fn name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// The full name; `None` if the resolver fails or takes too long. The resolver cannot be cancelled, so it runs in a
/// thread that is then abandoned.
fn resolve_fqdn(name: &str) -> Option<String> {
    let (tell, told) = mpsc::channel();
    let asked = name.to_owned();
    thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || {
            // The receiver is gone if the time limit has passed.
            let _ = tell.send(ask_resolver(&asked));
        })
        .ok()?;
    let Ok(full) = told.recv_timeout(RESOLVER_LIMIT) else {
        emit(Event::ResolverTimedOut { host: name.to_owned(), limit_s: RESOLVER_LIMIT.as_secs() });
        return None;
    };
    full
}

fn ask_resolver(name: &str) -> Option<String> {
    let ip = dns_lookup::lookup_host(name).ok()?.next()?;
    let reverse = dns_lookup::lookup_addr(&ip).ok()?;
    // Without an entry, the C library returns the address as text. Python treats that as a failure.
    if reverse.parse::<IpAddr>().is_ok() {
        return None;
    }
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    Some(first_full_name(reverse, &hosts, ip))
}

/// The first of the name and its aliases that has a dot, else the name, like `socket.getfqdn`. Aliases are read only
/// from `/etc/hosts`, because the reverse lookup of the C library that returns them is not available in safe code.
fn first_full_name(reverse: String, hosts: &str, ip: IpAddr) -> String {
    if reverse.contains('.') {
        return reverse;
    }
    let of_ip = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace().map(str::to_owned);
        let same = words.next()?.parse::<IpAddr>().is_ok_and(|known| known == ip);
        same.then(|| words.collect::<Vec<_>>())
    };
    let aliases = hosts.lines().find_map(of_ip).unwrap_or_default();
    aliases.into_iter().find(|alias| alias.contains('.')).unwrap_or(reverse)
}

/// The source address of packets to other networks. Connecting a UDP socket sends nothing, and 192.0.2.1 is reserved
/// (RFC 5737).
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
}

/// The first address of an interface other than loopback, IPv4 before IPv6.
fn first_interface() -> Option<IpAddr> {
    let mut all: Vec<IpAddr> = nix::ifaddrs::getifaddrs()
        .ok()?
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), 0)));
            let v6 = || address.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), 0)));
            v4.or_else(v6).map(|address| address.ip())
        })
        .filter(|ip| !ip.is_loopback() && !is_link_local(*ip))
        .collect();
    // The sort is stable: the interfaces keep their order.
    all.sort_by_key(IpAddr::is_ipv6);
    all.into_iter().next()
}

/// Whether the address is only valid together with an interface.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}
