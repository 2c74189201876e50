//! The servers to try: those that the ensemble names itself, those that Exhibitor names, those saved by an earlier run,
//! and always the configured ones.
//!
//! Learned servers never replace the configured ones; each round of tries includes both. Every round resolves the names
//! again, so an ensemble may move behind its names. A learned server keeps the name it was learned by, and its
//! certificate has to be for that name.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::config::{RegistryConfig, RegistryUrl};
use crate::watch::StateAccess;
use crate::zk::Server;

use ensemble::Ensemble;
use exhibitor::Exhibitor;
use name::{LearnedServer, ServerName};
use saved::SavedServers;

pub mod ensemble;
mod exhibitor;
mod name;
mod saved;
#[cfg(test)]
mod tests;

/// How long a round waits for names. A name that is not resolved by then is left out of the round, and the next round
/// waits for the same lookup.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// The servers of one round of tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Every address of every server, in the order to try them.
    pub servers: Vec<Server>,
    /// The names without an address, and why.
    pub failed: Vec<String>,
}

/// The servers of one registry.
#[derive(Debug)]
pub struct Servers {
    configured: Vec<ServerName>,
    tls: bool,
    /// What the ensemble last said in this run.
    ensemble: Option<Ensemble>,
    exhibitor: Option<Exhibitor>,
    /// What Exhibitor last said in this run.
    exhibited: Vec<LearnedServer>,
    saved: SavedServers,
    /// The last server that gave a session.
    connected: Option<Server>,
    /// The addresses that were lost or did not answer in this outage, the last one at the end. They are tried last.
    failed: Vec<SocketAddr>,
    /// Lookups that were not done in time.
    late: HashMap<ServerName, JoinHandle<Addresses>>,
}

type Addresses = Result<Vec<SocketAddr>, String>;

impl Servers {
    /// The servers of a ZooKeeper registry. Nothing is contacted yet.
    pub fn new(config: &RegistryConfig, state: &StateAccess) -> Self {
        let (configured, tls) = match &config.url {
            RegistryUrl::ZooKeeper { servers, tls, .. } => {
                (servers.iter().filter_map(|text| ServerName::parse(text)).collect(), *tls)
            }
            RegistryUrl::Directory(_) | RegistryUrl::Web(_) => (Vec::new(), false),
        };
        Self {
            configured,
            tls,
            ensemble: None,
            exhibitor: (!config.exhibitor.is_empty()).then(|| Exhibitor::new(&config.name, &config.exhibitor)),
            exhibited: Vec::new(),
            saved: SavedServers::load(state, &config.name, &config.url.to_string()),
            connected: None,
            failed: Vec::new(),
            late: HashMap::new(),
        }
    }

    /// The servers to try now. Every call resolves the names again.
    pub async fn resolve(&mut self) -> Resolved {
        if let Some(exhibitor) = &mut self.exhibitor {
            // Exhibitor knows only the port without TLS.
            let list = exhibitor.list().await.into_iter();
            self.exhibited =
                list.map(|known| LearnedServer { port: known.port.filter(|_| !self.tls), ..known }).collect();
            self.save();
        }
        let names = self.order();
        let addresses = self.look_up(&names).await;
        let mut resolved = Resolved { servers: Vec::new(), failed: Vec::new() };
        for (name, addresses) in names.into_iter().zip(addresses) {
            match addresses {
                Ok(addresses) => {
                    // Learned servers may be the configured ones by other names. With TLS a certificate may be for only
                    // one of the names.
                    let is_new = |address: &SocketAddr| {
                        self.tls || resolved.servers.iter().all(|server| server.address != *address)
                    };
                    let new: Vec<SocketAddr> = addresses.into_iter().filter(is_new).collect();
                    let server = |address| Server { host: name.host.clone(), port: name.port, address };
                    resolved.servers.extend(new.into_iter().map(server));
                }
                Err(reason) => resolved.failed.push(format!("{name}: {reason}")),
            }
        }
        let rank = |server: &Server| self.failed.iter().position(|failed| *failed == server.address);
        resolved.servers.sort_by_key(rank);
        resolved
    }

    /// Records that this address did not answer in time.
    pub fn failed(&mut self, address: SocketAddr) {
        self.failed.retain(|failed| *failed != address);
        self.failed.push(address);
    }

    /// Whether this address was lost, or did not answer, in this outage.
    pub fn has_failed(&self, address: SocketAddr) -> bool {
        self.failed.contains(&address)
    }

    /// Records that the connection to the last server was lost. If it was useful, another outage begins.
    pub fn lost(&mut self, was_useful: bool) {
        if was_useful {
            self.failed.clear();
        }
        if let Some(address) = self.connected.as_ref().map(|server| server.address) {
            self.failed(address);
        }
    }

    /// Learns the servers in `/zookeeper/config`, unless the list is older than the known one.
    pub fn learn(&mut self, config: &[u8]) {
        let Some(ensemble) = ensemble::parse(config, self.tls) else {
            return;
        };
        // Every static configuration has version 0, whatever is in it.
        let is_new = self.ensemble.as_ref().is_none_or(|known| {
            ensemble.version > known.version || (ensemble.version == 0 && known.version == 0 && ensemble != *known)
        });
        if is_new {
            self.ensemble = Some(ensemble);
            self.save();
        }
    }

    /// Records that this server gave a session.
    pub fn connected(&mut self, server: &Server) {
        self.connected = Some(server.clone());
        self.save();
    }

    /// The servers learned in this run.
    fn learned(&self) -> Vec<ServerName> {
        // Shuffled by name: without a port of its own, a server has one name for each configured port of its host.
        let names = |known: &[LearnedServer]| shuffled(known.iter().flat_map(|known| self.names(known)).collect());
        let ensemble = self.ensemble.as_ref().map_or(&[][..], |ensemble| &ensemble.servers);
        [names(ensemble), names(&self.exhibited)].concat()
    }

    /// The names of a learned server: with its own port, else with each configured port of the same host, else with the
    /// first configured port.
    fn names(&self, known: &LearnedServer) -> Vec<ServerName> {
        let own = self.configured.iter().filter(|name| name.host == known.host).map(|name| name.port);
        let mut ports: Vec<u16> = known.port.map_or_else(|| own.collect(), |port| vec![port]);
        if ports.is_empty() {
            ports.extend(self.configured.first().map(|name| name.port));
        }
        ports.into_iter().map(|port| ServerName { host: known.host.clone(), port }).collect()
    }

    /// Saves the learned servers, after one server gave a session. Before that, an Exhibitor that names old servers
    /// must not replace the list of an earlier run.
    fn save(&mut self) {
        if self.connected.is_none() {
            return;
        }
        let learned: BTreeSet<ServerName> = self.learned().into_iter().collect();
        self.saved.save(learned.into_iter().collect());
    }

    /// The name of every server once, in the order to try them.
    fn order(&self) -> Vec<ServerName> {
        let mut learned = self.learned();
        if learned.is_empty() || self.connected.is_none() {
            learned.extend(shuffled(self.saved.servers().to_vec()));
        }
        let configured = shuffled(self.configured.clone());
        let connected =
            self.connected.as_ref().map(|server| ServerName { host: server.host.clone(), port: server.port });
        let is_proven = connected.is_some_and(|connected| learned.contains(&connected));
        // An ensemble may name itself by addresses that only its own network can reach. Until one of them was reached,
        // the configured servers must not wait for all of them.
        let all = if is_proven { [learned, configured].concat() } else { interleave(learned, configured) };
        let mut seen = BTreeSet::new();
        all.into_iter().filter(|name| seen.insert(name.clone())).collect()
    }

    /// The addresses of each name, looked up at the same time.
    async fn look_up(&mut self, names: &[ServerName]) -> Vec<Addresses> {
        self.late.retain(|name, _| names.contains(name));
        let deadline = Instant::now() + LOOKUP_TIMEOUT;
        let lookups: Vec<_> = names
            .iter()
            .map(|name| self.late.remove(name).unwrap_or_else(|| tokio::spawn(look_up(name.clone()))))
            .collect();
        let results = join_all(lookups.into_iter().zip(names).map(|(mut lookup, name)| async move {
            match timeout_at(deadline, &mut lookup).await {
                Ok(Ok(addresses)) => (addresses, None),
                Ok(Err(error)) => (Err(error.to_string()), None),
                // A resolver that does not answer holds a thread for as long as it waits: at most one for each name.
                Err(_) => {
                    (Err(format!("the name was not resolved within {LOOKUP_TIMEOUT:?}")), Some((name.clone(), lookup)))
                }
            }
        }))
        .await;
        results
            .into_iter()
            .map(|(addresses, late)| {
                self.late.extend(late);
                addresses
            })
            .collect()
    }
}

async fn look_up(name: ServerName) -> Addresses {
    let found = lookup_host((name.host.as_str(), name.port)).await;
    let found: BTreeSet<SocketAddr> = found.map_err(|error| format!("the name does not resolve: {error}"))?.collect();
    if found.is_empty() {
        return Err("the name has no address".into());
    }
    Ok(shuffled(found.into_iter().collect()))
}

/// In random order, so that the agents of many hosts do not all connect to one server.
fn shuffled<T>(mut list: Vec<T>) -> Vec<T> {
    fastrand::shuffle(&mut list);
    list
}

/// One of each list in turn, then the rest of the longer one.
fn interleave<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    loop {
        match (first.next(), second.next()) {
            (None, None) => return all,
            (one, other) => all.extend(one.into_iter().chain(other)),
        }
    }
}
