//! One round of connection tries: every address of every server, until one creates or resumes the session.

use std::sync::Arc;

use crate::config::{Auth, RegistryConfig, RegistryUrl};
use crate::watch::own_nodes::OwnNodes;
use crate::watch::session_counters::SessionCounters;
use crate::zk;
use crate::zk::sasl::DigestMd5;
use crate::zk::{ConnectError, ConnectRequest, Connection, EventHandler, SaslResponder, tls};

use super::dirty_tracker::DirtyTracker;
use super::servers::Servers;
use super::session::Session;

/// The result of a round.
pub enum Connected {
    /// A connection, and the tracker of its events.
    Yes {
        /// The connection.
        connection: Connection,
        /// Records the events of the connection.
        tracker: Arc<DirtyTracker>,
        /// The session is the previous one.
        is_resumed: bool,
    },
    /// The previous session has expired, and everything has to be read again. What the servers answered before, and why it
    /// has expired.
    SessionExpired(Vec<String>),
    /// No server gave a session.
    No {
        /// The reason of each.
        reasons: Vec<String>,
        /// A retry would fail in the same way: a server refused the credentials, or each is not the configured one.
        is_final: bool,
    },
}

/// Tries every address once.
pub async fn connect(
    config: &RegistryConfig,
    servers: &mut Servers,
    session: &mut Session,
    own_nodes: &Arc<OwnNodes>,
    counters: &Arc<SessionCounters>,
) -> Connected {
    let RegistryUrl::ZooKeeper { chroot, tls, .. } = &config.url else {
        return final_failure(format!("{} is not a ZooKeeper URL", config.url));
    };
    let files = config.tls.as_ref();
    let ca = files.and_then(|files| files.ca.as_deref());
    let identity = files.and_then(|files| files.identity.as_ref()).map(|(cert, key)| (cert.as_path(), key.as_path()));
    let tls = match tls.then(|| tls::client_config(ca, identity)).transpose() {
        Ok(tls) => tls,
        Err(reason) => return final_failure(reason),
    };
    let (sasl, auth): (Vec<&Auth>, Vec<&Auth>) = config.auth.iter().partition(|auth| auth.is_sasl());
    let auth: Vec<(&str, &[u8])> = auth.into_iter().map(|auth| (&*auth.scheme, &*auth.secret)).collect();
    let resolved = servers.resolve().await;
    let mut reasons = resolved.failed;
    if resolved.servers.is_empty() && reasons.is_empty() {
        reasons.push("no server is known: no Exhibitor has listed any".to_owned());
    }
    let (mut are_refused, mut is_each_rejected) = (false, reasons.is_empty());
    for server in &resolved.servers {
        if let Some(timeout) = session.drop_expired() {
            reasons.push(format!("the session expired, because no server continued it within {timeout:?}"));
            return Connected::SessionExpired(reasons);
        }
        let is_last = servers.has_failed(server.address) && resolved.servers.len() > 1;
        let tracker = Arc::<DirtyTracker>::default();
        let exchange = match sasl.first().map(|auth| DigestMd5::new(&auth.secret)).transpose() {
            Ok(exchange) => exchange,
            Err(reason) => return Connected::No { reasons: vec![reason], is_final: false },
        };
        let respond = exchange.as_ref().map(|exchange| |challenge: &[u8]| exchange.respond(challenge));
        let request = ConnectRequest {
            session: session.id(),
            session_timeout: config.session_timeout,
            timeout: session.address_timeout(config.session_timeout, is_last),
            auth: &auth,
            sasl: respond.as_ref().map(|respond| respond as SaslResponder<'_>),
            chroot: chroot.as_ref(),
            tls: tls.as_ref(),
        };
        match zk::connect(server, &request, event_handler(&tracker, own_nodes, counters)).await {
            Ok(connection) => {
                let is_resumed = session.id().is_some_and(|session| session.id == connection.session().id);
                servers.connected(server);
                let connection = connection.counting(counters.requests());
                return Connected::Yes { connection, tracker, is_resumed };
            }
            Err(ConnectError::SessionExpired) => {
                session.drop_id();
                reasons.push(format!("{server}: the session expired"));
                return Connected::SessionExpired(reasons);
            }
            Err(ConnectError::Unreachable(reason)) => {
                is_each_rejected = false;
                reasons.push(reason);
            }
            Err(ConnectError::TimedOut(reason)) => {
                is_each_rejected = false;
                servers.failed(server.address);
                reasons.push(reason);
            }
            Err(ConnectError::Rejected(reason)) => reasons.push(reason),
            Err(ConnectError::AuthFailed(reason)) => {
                session.drop_id();
                are_refused = true;
                reasons.push(reason + &credential_files(config));
            }
        }
    }
    Connected::No { reasons, is_final: are_refused || is_each_rejected }
}

/// A handler that records events for the subjects, and for the nodes that this agent registered.
fn event_handler(
    tracker: &Arc<DirtyTracker>,
    own_nodes: &Arc<OwnNodes>,
    counters: &Arc<SessionCounters>,
) -> EventHandler {
    let (track, own_nodes) = (DirtyTracker::event_handler(tracker), Arc::clone(own_nodes));
    let counters = Arc::clone(counters);
    Arc::new(move |event, path| {
        counters.watch_event();
        track(event, path);
        own_nodes.record(path);
    })
}

fn final_failure(reason: String) -> Connected {
    Connected::No { reasons: vec![reason], is_final: true }
}

/// Where the refused credentials are from.
fn credential_files(config: &RegistryConfig) -> String {
    let files: Vec<String> =
        config.auth.iter().map(|auth| format!("{} from {}", auth.scheme, auth.file.display())).collect();
    if files.is_empty() { ", and the registry has no auth".into() } else { format!(" ({})", files.join(", ")) }
}
