//! Creates the chroot of an ensemble, for `prime-chroot`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::config::{RegistryConfig, RegistryUrl};
use crate::error::{Exit, Fatal, Setback};
use crate::watch::StateAccess;
use crate::zk::{Acl, Connection, ConnectionLost, CreateMode, NewNode, ServerError};

use super::connect::{Connected, connect};
use super::servers::Servers;
use super::session::Session;

/// Why a try ended early.
enum Stop {
    Lost(ConnectionLost),
    Refused(Setback),
}

impl From<ConnectionLost> for Stop {
    fn from(lost: ConnectionLost) -> Self {
        Self::Lost(lost)
    }
}

/// Creates the missing nodes of the chroot, each with this access control list, and adds their paths to `created`. Nodes
/// that exist are not changed.
///
/// # Errors
/// The ensemble is not reached within `limit`, or refuses.
pub async fn create(
    config: &RegistryConfig,
    state: &StateAccess,
    acl: &[Acl],
    limit: Duration,
    created: &mut Vec<String>,
) -> Result<(), Fatal> {
    let RegistryUrl::ZooKeeper { servers, chroot, tls } = &config.url else {
        return Err(Fatal::new(Exit::Usage, format!("{} is not a ZooKeeper URL", config.url)));
    };
    let Some(chroot) = chroot else { return Ok(()) };
    let url = RegistryUrl::ZooKeeper { servers: servers.clone(), chroot: None, tls: *tls };
    let root = RegistryConfig { url, ..config.clone() };
    let mut reason = None;
    let trying = async {
        let (mut servers, mut session) = (Servers::new(&root, state), Session::default());
        loop {
            sleep(session.pause()).await;
            let connection = match connect(&root, &mut servers, &mut session, &Arc::default(), &Arc::default()).await {
                Connected::Yes { connection, .. } => connection,
                Connected::SessionExpired(reasons) | Connected::No { reasons, is_final: false } => {
                    session.no_server(Instant::now());
                    reason = Some(reasons.join("; "));
                    continue;
                }
                Connected::No { reasons, is_final: true } => {
                    return Err(unreached(config, &reasons.join("; ")));
                }
            };
            let done = create_missing(&connection, chroot.as_str(), acl, created).await;
            connection.close().await;
            match done {
                Ok(()) => return Ok(()),
                Err(Stop::Refused(setback)) => return Err(Fatal::new(Exit::Failed, setback.to_string())),
                Err(Stop::Lost(lost)) => {
                    session.failed(Instant::now());
                    reason = Some(lost.to_string());
                }
            }
        }
    };
    let Ok(done) = timeout(limit, trying).await else {
        let reason = reason.unwrap_or_else(|| format!("no answer within {}", humantime::format_duration(limit)));
        return Err(unreached(config, &reason));
    };
    done
}

fn unreached(config: &RegistryConfig, reason: &str) -> Fatal {
    Fatal::new(Exit::Unreached, Setback::new(format!("create the chroot of {}", config.url), reason).to_string())
}

async fn create_missing(
    connection: &Connection,
    chroot: &str,
    acl: &[Acl],
    created: &mut Vec<String>,
) -> Result<(), Stop> {
    let exists = async |path| Ok::<_, Stop>(matches!(connection.exists(path, false).await?.value, Ok(Some(_))));
    if exists(chroot).await? {
        return Ok(());
    }
    let ends = chroot.match_indices('/').map(|(at, _)| at).skip(1).chain([chroot.len()]);
    for path in ends.map(|end| &chroot[..end]) {
        let node = NewNode { path, data: b"", acl, mode: CreateMode::Persistent };
        match connection.create(node).await?.value {
            Ok(()) => created.push(path.to_owned()),
            Err(ServerError::NodeExists) => {}
            // A node that may not be created may exist.
            Err(ServerError::NoAuth) if exists(path).await? => {}
            Err(ServerError::NoAuth) => {
                let why = "not authorized: the ACL of its parent does not allow these credentials to create children";
                let hint = "use --auth FILE, or -c FILE with `auth` in [registry]";
                return Err(Stop::Refused(Setback::new(format!("create {path}"), why).hint(hint)));
            }
            Err(error) => return Err(Stop::Refused(Setback::new(format!("create {path}"), error))),
        }
    }
    Ok(())
}
