//! Which servers to try: those that the ensemble names itself, those that Exhibitor names, those of an earlier run, and
//! always those of the configuration.
//!
//! A list that was learnt never takes the place of the configured one: both are tried in one round. Names are resolved
//! afresh in every round, so an ensemble may move behind its names. A server that was learnt is cached to the name that it
//! was learnt by, so a certificate has to be for that.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::net::lookup_host;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::config::{RegistryConfig, RegistryUrl};
use crate::watch::StateAccess;

use crate::zk::Server;
use ensemble::Ensemble;
use exhibitor::Exhibitor;
use saved::SavedServers;

pub mod ensemble;
mod exhibitor;
mod saved;
#[cfg(test)]
mod tests;

/// How long a round waits for names. One that is not resolved by then is left out, and its lookup is waited for in the
/// next round.
const LOOKUP: Duration = Duration::from_secs(2);

/// The name of a server: a host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name {
    host: String,
    port: u16,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brackets = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}{}{}:{}", brackets.0, self.host, brackets.1, self.port)
    }
}

/// A server that somebody named, with the port for this kind of connection where they said one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedServer {
    /// A host name or an address.
    pub host: String,
    /// `None`: as it is configured.
    pub port: Option<u16>,
}

/// Whether a text is an address or could be a host's name: what is learnt is not trusted to be.
pub fn is_host(text: &str) -> bool {
    let could_be_a_name = || text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    text.parse::<IpAddr>().is_ok() || (!text.is_empty() && text.len() <= 253 && could_be_a_name())
}

/// What to try, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Every address of every server.
    pub servers: Vec<Server>,
    /// The servers whose names have no address, and why, in words.
    pub unresolved: Vec<String>,
}

/// The servers of one registry.
#[derive(Debug)]
pub struct Servers {
    configured: Vec<Name>,
    tls: bool,
    /// What the ensemble last said of itself in this run.
    ensemble: Option<Ensemble>,
    exhibitor: Option<Exhibitor>,
    /// What Exhibitor last said in this run.
    exhibited: Vec<NamedServer>,
    kept: SavedServers,
    /// The last one that gave a session.
    reached: Option<Name>,
    /// Lookups that were not done in time.
    late: HashMap<Name, JoinHandle<Resolved>>,
}

type Resolved = Result<Vec<SocketAddr>, String>;

impl Servers {
    /// The servers of a registry; nothing is contacted yet. None of a registry that is no ZooKeeper.
    pub fn new(config: &RegistryConfig, keep: &StateAccess) -> Self {
        let (configured, tls) = match &config.url {
            RegistryUrl::ZooKeeper { servers, tls, .. } => {
                (servers.iter().filter_map(|text| name(text)).collect(), *tls)
            }
            RegistryUrl::Directory(_) => (Vec::new(), false),
        };
        Self {
            configured,
            tls,
            ensemble: None,
            exhibitor: (!config.exhibitor.is_empty()).then(|| Exhibitor::new(&config.name, &config.exhibitor)),
            exhibited: Vec::new(),
            kept: SavedServers::of(keep, &config.name, &config.url.to_string()),
            reached: None,
            late: HashMap::new(),
        }
    }

    /// What to try now, because there is no connection. Every call asks for the names anew.
    pub async fn round(&mut self) -> Round {
        if let Some(exhibitor) = &mut self.exhibitor {
            // Exhibitor knows the plain port.
            let list = exhibitor.list().await.into_iter();
            self.exhibited = list.map(|told| NamedServer { port: told.port.filter(|_| !self.tls), ..told }).collect();
            self.keep();
        }
        let names = self.order();
        let resolved = self.resolve(&names).await;
        let mut round = Round { servers: Vec::new(), unresolved: Vec::new() };
        for (name, resolved) in names.into_iter().zip(resolved) {
            match resolved {
                Ok(addresses) => {
                    // What was learnt may be the configured servers by other names. A certificate is for one of them.
                    let is_new = |address: &SocketAddr| {
                        self.tls || round.servers.iter().all(|server| server.address != *address)
                    };
                    let new: Vec<SocketAddr> = addresses.into_iter().filter(is_new).collect();
                    let server = |address| Server { host: name.host.clone(), port: name.port, address };
                    round.servers.extend(new.into_iter().map(server));
                }
                Err(why) => round.unresolved.push(format!("{name}: {why}")),
            }
        }
        round
    }

    /// Takes up what the ensemble says of itself, unless it is older than what it said before.
    pub fn learn(&mut self, config: &[u8]) {
        let Some(said) = ensemble::read(config, self.tls) else {
            return;
        };
        // Version 0 is that of every static configuration, whatever is in it.
        let is_news = self.ensemble.as_ref().is_none_or(|last| {
            said.version > last.version || (said.version == 0 && last.version == 0 && said != *last)
        });
        if is_news {
            self.ensemble = Some(said);
            self.keep();
        }
    }

    /// Notes that this server gave a session.
    pub fn reached(&mut self, server: &Server) {
        self.reached = Some(Name { host: server.host.clone(), port: server.port });
        self.keep();
    }

    /// What was learnt in this run.
    fn learnt(&self) -> Vec<Name> {
        let said = self.ensemble.iter().flat_map(|ensemble| &ensemble.servers);
        self.named(&shuffled(said.cloned().collect())).chain(self.named(&shuffled(self.exhibited.clone()))).collect()
    }

    fn named<'a>(&'a self, told: &[NamedServer]) -> impl Iterator<Item = Name> + use<'a> {
        let names = told
            .iter()
            .flat_map(|told| self.ports(told).into_iter().map(|port| Name { host: told.host.clone(), port }));
        names.collect::<Vec<_>>().into_iter()
    }

    /// The ports of a server: as told, else as this host is configured, else as the first one is.
    fn ports(&self, told: &NamedServer) -> Vec<u16> {
        if let Some(port) = told.port {
            return vec![port];
        }
        let own: Vec<u16> =
            self.configured.iter().filter(|name| name.host == told.host).map(|name| name.port).collect();
        if own.is_empty() { self.configured.first().map(|name| name.port).into_iter().collect() } else { own }
    }

    /// Keeps what was learnt, once there is proof that it is of use: an Exhibitor that names what is gone must not cost
    /// the list of an earlier run.
    fn keep(&mut self) {
        if self.reached.is_none() {
            return;
        }
        let learnt: BTreeSet<Name> = self.learnt().into_iter().collect();
        self.kept.write(learnt.into_iter().collect());
    }

    /// Every server's name once, in the order to try them.
    fn order(&self) -> Vec<Name> {
        let mut first = self.learnt();
        if first.is_empty() || self.reached.is_none() {
            first.extend(shuffled(self.kept.servers().to_vec()));
        }
        let configured = shuffled(self.configured.clone());
        let works = self.reached.as_ref().is_some_and(|reached| first.contains(reached));
        // An ensemble may name itself by addresses that only its own network knows: until one of them was reached,
        // the configured ones must not have to wait for all of these.
        let all = if works { [first, configured].concat() } else { by_turns(first, configured) };
        let mut seen = BTreeSet::new();
        all.into_iter().filter(|name| seen.insert(name.clone())).collect()
    }

    /// The addresses of each name, all asked for at once.
    async fn resolve(&mut self, names: &[Name]) -> Vec<Resolved> {
        self.late.retain(|name, _| names.contains(name));
        let until = Instant::now() + LOOKUP;
        let lookups: Vec<_> = names
            .iter()
            .map(|name| self.late.remove(name).unwrap_or_else(|| tokio::spawn(resolve(name.clone()))))
            .collect();
        let resolved = join_all(lookups.into_iter().zip(names).map(|(mut lookup, name)| async move {
            match timeout_at(until, &mut lookup).await {
                Ok(Ok(resolved)) => (resolved, None),
                Ok(Err(broken)) => (Err(broken.to_string()), None),
                // A resolver without an answer keeps a thread for as long as it waits: one for each name is enough.
                Err(_) => (Err(format!("the name was not resolved within {LOOKUP:?}")), Some((name.clone(), lookup))),
            }
        }))
        .await;
        resolved
            .into_iter()
            .map(|(resolved, late)| {
                self.late.extend(late);
                resolved
            })
            .collect()
    }
}

async fn resolve(name: Name) -> Resolved {
    let found = lookup_host((name.host.as_str(), name.port)).await;
    let found: BTreeSet<SocketAddr> = found.map_err(|error| format!("the name does not resolve: {error}"))?.collect();
    if found.is_empty() {
        return Err("the name has no address".into());
    }
    Ok(shuffled(found.into_iter().collect()))
}

/// In a random order, so that the agents of many hosts do not all go to one server.
fn shuffled<T>(mut list: Vec<T>) -> Vec<T> {
    fastrand::shuffle(&mut list);
    list
}

/// One of each in turn, and then what is left of the longer.
fn by_turns<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    loop {
        match (first.next(), second.next()) {
            (None, None) => return all,
            (one, other) => all.extend(one.into_iter().chain(other)),
        }
    }
}

/// A server as a registry's url has it.
fn name(text: &str) -> Option<Name> {
    let (host, port) = text.rsplit_once(':')?;
    Some(Name { host: host.trim_start_matches('[').trim_end_matches(']').to_owned(), port: port.parse().ok()? })
}
