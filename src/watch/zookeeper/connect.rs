//! One round of tries: every address of every server, until one gives a session or carries it on.

use std::sync::Arc;

use crate::config::{Auth, RegistryConfig, RegistryUrl};

use super::dirty_tracker::Ears;
use super::servers::Servers;
use super::session::Session;
use crate::zk;
use crate::zk::sasl::DigestMd5;
use crate::zk::{ConnectRequest, Connection, Failure, Sasl, tls};

/// What a round came to.
pub enum Reached {
    /// A connection, what it tells of, and whether the session is the one from before.
    Connected(Connection, Arc<Ears>, bool),
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
        let ears = Arc::<Ears>::default();
        let exchange = match sasl.first().map(|auth| DigestMd5::new(&auth.secret)).transpose() {
            Ok(exchange) => exchange,
            Err(why) => return Reached::Nowhere(vec![why]),
        };
        let respond = exchange.as_ref().map(|exchange| |challenge: &[u8]| exchange.respond(challenge));
        let hello = ConnectRequest {
            ticket: session.ticket(),
            session_timeout: config.session_timeout,
            limit: session.limit(config.session_timeout),
            auth: &auth,
            sasl: respond.as_ref().map(|respond| respond as Sasl<'_>),
            chroot: chroot.as_ref(),
            tls: tls.as_ref(),
        };
        match zk::connect(server, &hello, Ears::of(&ears)).await {
            Ok(connection) => {
                let is_carried = session.ticket().is_some_and(|ticket| ticket.id == connection.ticket().id);
                servers.reached(server);
                return Reached::Connected(connection, ears, is_carried);
            }
            Err(Failure::Expired) => {
                session.drop_ticket();
                return Reached::Expired;
            }
            Err(Failure::NotReached(why)) => found.push(why),
            Err(Failure::Refused(why)) => {
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
