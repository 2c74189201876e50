//! This machine, as templates and paths name it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;
use std::{fs, thread};

use crate::decide::Event;
use crate::log::emit;

#[cfg(test)]
mod tests;

/// How long the resolver may take for the full name: a dead name server must not hold up a start.
const RESOLVER_LIMIT: Duration = Duration::from_secs(2);

/// What `{{ host.name }}`, `{{ host.fqdn }}` and `{{ host.ip }}` stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// As `hostname` prints it.
    pub name: String,
    /// The full name, as Python's `socket.getfqdn()` gives it: zk_watcher and nd_service_registry register under it.
    pub fqdn: String,
    /// The address that packets to the outside would come from.
    pub ip: IpAddr,
}

/// This host as far as it was found out. What was found stays, whatever the resolver or the routes say later: files must
/// not change while nothing has changed but the weather. Clones share the full name.
#[derive(Debug, Clone)]
pub struct ThisHost {
    /// As `hostname` prints it.
    pub name: String,
    ip: Option<IpAddr>,
    /// Empty until it is wanted: it costs a question to the resolver, 2 s at most.
    fqdn: Arc<OnceLock<Option<String>>>,
}

impl ThisHost {
    /// Asks the system for everything but the full name.
    #[must_use]
    pub fn find() -> Self {
        Self { name: name(), ip: outward().or_else(first_interface), fqdn: Arc::default() }
    }

    /// The same host, with another try at what could not be found out so far.
    #[must_use]
    pub fn again(&self) -> Self {
        let failed = matches!(self.fqdn.get(), Some(None));
        Self {
            name: self.name.clone(),
            ip: self.ip.or_else(outward).or_else(first_interface),
            fqdn: if failed { Arc::default() } else { Arc::clone(&self.fqdn) },
        }
    }

    /// The host with its full name, which the resolver is asked for at the first call. It is the name as it is where
    /// the resolver knows no better.
    #[must_use]
    pub fn full(&self) -> Host {
        let fqdn = self.fqdn.get_or_init(|| resolve_fqdn(&self.name));
        Host { fqdn: fqdn.clone().unwrap_or_else(|| self.name.clone()), ..self.short() }
    }

    /// The host without asking for its full name: that is the name as it is here.
    #[must_use]
    pub fn short(&self) -> Host {
        let ip = self.ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Host { name: self.name.clone(), fqdn: self.name.clone(), ip }
    }
}

impl From<Host> for ThisHost {
    /// A host of which everything is known.
    fn from(host: Host) -> Self {
        Self { name: host.name, ip: Some(host.ip), fqdn: Arc::new(OnceLock::from(Some(host.fqdn))) }
    }
}

/// This host's name, as `hostname` prints it.
#[must_use]
pub fn name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// The full name, or nothing when the resolver fails or takes too long. It cannot be cancelled, so it has a thread
/// that is left behind.
fn resolve_fqdn(name: &str) -> Option<String> {
    let (tell, told) = mpsc::channel();
    let asked = name.to_owned();
    thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || {
            // Nobody may be listening any more, which is the point of the limit.
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
    // Without an entry the C library gives the address back as text; Python calls that a failure.
    if reverse.parse::<IpAddr>().is_ok() {
        return None;
    }
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    Some(first_full_name(reverse, &hosts, ip))
}

/// The first of the name and its aliases that has a dot, else the name, as `socket.getfqdn` chooses. Aliases come only
/// from `/etc/hosts`: the C library's reverse lookup that gives them is not offered to safe code.
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

/// The source address of packets to the outside. Connecting a UDP socket sends nothing; 192.0.2.1 is nobody's
/// (RFC 5737).
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
}

/// The first address of an interface that leads out, IPv4 before IPv6.
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
    // Stable: the interfaces keep their order.
    all.sort_by_key(IpAddr::is_ipv6);
    all.into_iter().next()
}

/// An address that means nothing without an interface's name.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}
