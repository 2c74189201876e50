//! Which servers to try: their names, resolved anew for each round.

use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::config::{RegistryConfig, RegistryUrl};

use super::wire::Server;

/// How long a name may take to be resolved.
const RESOLVE: std::time::Duration = std::time::Duration::from_secs(2);

/// The servers of one ensemble.
#[derive(Debug)]
pub struct Servers {
    /// `host:port`, as configured.
    configured: Vec<String>,
}

/// What to try once.
#[derive(Debug, Default)]
pub struct Round {
    /// Every address of every server, in the order in which to try them.
    pub servers: Vec<Server>,
    /// The names that have no address now: why, in words.
    pub unresolved: Vec<String>,
}

impl Servers {
    /// Those that the configuration names.
    pub fn new(config: &RegistryConfig) -> Self {
        let configured = match &config.url {
            RegistryUrl::ZooKeeper { servers, .. } => servers.clone(),
            RegistryUrl::Directory(_) => Vec::new(),
        };
        Self { configured }
    }

    /// Resolves all names afresh.
    pub async fn round(&mut self) -> Round {
        let mut round = Round::default();
        let found = join_all(self.configured.iter().map(|server| resolve(server))).await;
        for found in found {
            match found {
                Ok(servers) => round.servers.extend(servers),
                Err(why) => round.unresolved.push(why),
            }
        }
        fastrand::shuffle(&mut round.servers);
        round
    }

    /// Takes up what the ensemble says of itself in `/zookeeper/config`.
    // The list is followed by what comes next.
    #[allow(clippy::unused_self)]
    pub fn learn(&mut self, _config: &[u8]) {}
}

async fn resolve(server: &str) -> Result<Vec<Server>, String> {
    let (host, port) = server.rsplit_once(':').ok_or_else(|| format!("{server}: it has no port"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port: u16 = port.parse().map_err(|_| format!("{server}: its port is no number"))?;
    match timeout(RESOLVE, lookup_host((host, port))).await {
        Err(_) => Err(format!("{server}: the name was not resolved within {RESOLVE:?}")),
        Ok(Err(error)) => Err(format!("{server}: the name does not resolve: {error}")),
        Ok(Ok(addresses)) => Ok(addresses.map(|address| Server { host: host.to_owned(), port, address }).collect()),
    }
}
