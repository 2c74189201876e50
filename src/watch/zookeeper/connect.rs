//! One round of tries: every address of every server, until one gives a session or carries it on.

use std::sync::Arc;

use crate::config::{Auth, RegistryConfig, RegistryUrl};

use super::dirty_tracker::DirtyTracker;
use super::servers::Servers;
use super::session::Session;
use crate::zk;
use crate::zk::sasl::DigestMd5;
use crate::zk::{ConnectError, ConnectRequest, Connection, Sasl, tls};

/// What a round came to.
pub enum Reached {
    /// A connection, what it tells of, and whether the session is the one from before.
    Connected(Connection, Arc<DirtyTracker>, bool),
    /// The session from before is over: another one has to be had, and nothing that was seen counts.
    Expired,
    /// No server gave a session: what each one did, in words.
    Nowhere(Vec<String>),
}

/// Tries every address once.
pub async fn round(config: &RegistryConfig, servers: &mut Servers, session: &mut Session) -> Reached {
    let RegistryUrl::ZooKeeper { chroot, tls, .. } = &config.url else {
        return Reached::Nowhere(vec![format!("{} is no ZooKeeper", config.url)]);
    };
    let tls = match tls.then(|| tls::client_config(config.tls.as_ref())).transpose() {
        Ok(tls) => tls,
        Err(why) => return Reached::Nowhere(vec![why]),
    };
    let (sasl, auth): (Vec<&Auth>, Vec<&Auth>) = config.auth.iter().partition(|auth| auth.is_sasl());
    let auth: Vec<(&str, &[u8])> = auth.into_iter().map(|auth| (&*auth.scheme, &*auth.secret)).collect();
    let round = servers.round().await;
    let mut found = round.unresolved;
    for server in &round.servers {
        if session.is_newly_lost() {
            return Reached::Expired;
        }
        let tracker = Arc::<DirtyTracker>::default();
        let exchange = match sasl.first().map(|auth| DigestMd5::new(&auth.secret)).transpose() {
            Ok(exchange) => exchange,
            Err(why) => return Reached::Nowhere(vec![why]),
        };
        let respond = exchange.as_ref().map(|exchange| |challenge: &[u8]| exchange.respond(challenge));
        let hello = ConnectRequest {
            session: session.session_id(),
            session_timeout: config.session_timeout,
            limit: session.limit(config.session_timeout),
            auth: &auth,
            sasl: respond.as_ref().map(|respond| respond as Sasl<'_>),
            chroot: chroot.as_ref(),
            tls: tls.as_ref(),
        };
        match zk::connect(server, &hello, DirtyTracker::of(&tracker)).await {
            Ok(connection) => {
                let is_carried =
                    session.session_id().is_some_and(|session_id| session_id.id == connection.session().id);
                servers.reached(server);
                return Reached::Connected(connection, tracker, is_carried);
            }
            Err(ConnectError::Expired) => {
                session.drop_ticket();
                return Reached::Expired;
            }
            Err(ConnectError::NotReached(why)) => found.push(why),
            Err(ConnectError::Refused(why)) => {
                session.drop_ticket();
                found.push(format!("{why} ({})", credentials(config)));
            }
        }
    }
    Reached::Nowhere(found)
}

/// Where the credentials that were refused came from.
fn credentials(config: &RegistryConfig) -> String {
    let files: Vec<String> =
        config.auth.iter().map(|auth| format!("{} from {}", auth.scheme, auth.file.display())).collect();
    if files.is_empty() { "the registry has no auth".into() } else { files.join(", ") }
}
