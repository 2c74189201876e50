//! The nodes of services in a ZooKeeper: reading a service at one moment, and writing a plan as one transaction.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::{RegistryConfig, RegistryUrl};
use crate::error::{Cause, Exit, Fatal};
use crate::model::node_path::NodePath;
use crate::watch::StateAccess;
use crate::watch::zookeeper::command::CommandSession;
use crate::zk::{Acl, Connection, ConnectionLost, RequestResult, ServerError};

use super::proposal::Refused;

pub mod check;
pub mod history;
pub mod origin;
pub mod pending;
pub mod read;
pub mod reader;
pub mod repair;
pub mod service;
pub mod transaction;
pub mod write;

/// The exit code when somebody else has changed the same meanwhile. It is the number of a hold.
pub const CHANGED: Exit = Exit::Held;

/// The most bytes of a request, below the server's own limit of 1,048,575, above which it closes the connection.
pub const MAX_REQUEST: usize = 1_000_000;

/// Services in one ensemble.
#[derive(Debug)]
pub struct Store {
    session: CommandSession,
    /// The most bytes of a request.
    pub max_request: usize,
    /// Who may prune a history that this store creates.
    pub auditor: Option<Acl>,
}

/// Why work on a connection ended.
pub enum Stop {
    /// The connection was lost.
    Lost(ConnectionLost),
    /// It failed for good.
    Fatal(Fatal),
}

impl From<ConnectionLost> for Stop {
    fn from(lost: ConnectionLost) -> Self {
        Self::Lost(lost)
    }
}

impl From<Fatal> for Stop {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

impl From<Refused> for Fatal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Check(why) => Self::new(Exit::Failed, why),
            Refused::Changed(why) => Self::new(CHANGED, why),
        }
    }
}

impl Store {
    /// The services of a registry. Nothing is contacted yet.
    ///
    /// # Errors
    /// It is not a ZooKeeper.
    pub fn new(config: &RegistryConfig, state: &StateAccess, limit: Duration) -> Result<Self, Fatal> {
        if !matches!(config.url, RegistryUrl::ZooKeeper { .. }) {
            let message =
                format!("{} cannot be edited: the commands of jones write to a ZooKeeper, zk://…", config.url);
            return Err(Fatal::new(Exit::Usage, message));
        }
        let session = CommandSession::new(config, state, limit);
        Ok(Self { session, max_request: MAX_REQUEST, auditor: None })
    }

    /// Starts the time limit again, for the next request.
    pub fn restart_limit(&mut self) {
        self.session.restart_limit();
    }

    /// Closes the session.
    pub async fn close(self) {
        self.session.close().await;
    }

    /// Does work on a connection, and again on another one if that is lost. The work must be safe to repeat.
    async fn call<T>(&mut self, work: impl AsyncFn(&Connection) -> Result<T, Stop>) -> Result<T, Fatal> {
        loop {
            match self.call_once(&work).await? {
                Ok(value) => return Ok(value),
                Err(lost) => self.session.lost(&lost),
            }
        }
    }

    /// Sends a transaction once. The inner error: the connection was lost, and the caller records that.
    ///
    /// # Errors
    /// If the ensemble does not answer, the error says that it may have been written.
    async fn transact<T>(
        &mut self,
        work: impl AsyncFn(&Connection) -> Result<T, Stop>,
    ) -> Result<Result<T, ConnectionLost>, Fatal> {
        // Without a connection nothing is sent.
        self.session.connection().await?;
        self.call_once(work).await.map_err(unknown)
    }

    /// The same once. The inner error: the connection was lost, and the caller records that.
    async fn call_once<T>(
        &mut self,
        work: impl AsyncFn(&Connection) -> Result<T, Stop>,
    ) -> Result<Result<T, ConnectionLost>, Fatal> {
        let connection = self.session.connection().await?;
        match self.session.within(work(&connection)).await? {
            Ok(value) => Ok(Ok(value)),
            Err(Stop::Lost(lost)) => Ok(Err(lost)),
            Err(Stop::Fatal(fatal)) => Err(fatal),
        }
    }
}

/// How long a session may take to close. It owns nothing, so it can also expire.
const CLOSING: Duration = Duration::from_secs(1);

/// Does work with the services of a registry, on a thread of its own: a store cannot move to another thread while it
/// waits. The work ends if the caller does not wait for it any longer.
///
/// # Errors
/// Those of the work, or the registry is not a ZooKeeper.
pub async fn with_store<T: Send + 'static>(
    config: Arc<RegistryConfig>,
    state: StateAccess,
    limit: Duration,
    work: impl AsyncFnOnce(&mut Store) -> Result<T, Fatal> + Send + 'static,
) -> Result<T, Fatal> {
    let (runtime, stop) = (Handle::current(), CancellationToken::new());
    let _stops = stop.clone().drop_guard();
    let working = async move || {
        let mut store = Store::new(&config, &state, limit)?;
        let done = stop.run_until_cancelled(work(&mut store)).await;
        let _ = timeout(CLOSING, store.close()).await;
        done.unwrap_or_else(|| Err(Fatal::new(Exit::Unreached, "nobody waits for it")))
    };
    let done = spawn_blocking(move || runtime.block_on(working())).await;
    done.unwrap_or_else(|why| Err(Fatal::new(Exit::Failed, why.to_string())))
}

/// The same error, of one who may have written.
fn unknown(fatal: Fatal) -> Fatal {
    match fatal.exit {
        Exit::Unreached => Fatal::new(Exit::Unreached, format!("{fatal}; whether the change was written is not known")),
        _ => fatal,
    }
}

/// The value of a reply; `None` if there is no such node.
fn found<T>(reply: RequestResult<T>, tried: &str, path: &NodePath) -> Result<Option<T>, Stop> {
    match reply?.value {
        Ok(value) => Ok(Some(value)),
        Err(ServerError::NoNode) => Ok(None),
        Err(error) => Err(failed(tried, path.as_str(), error).into()),
    }
}

/// An error of a server on a node.
fn failed(tried: &str, path: &str, error: ServerError) -> Fatal {
    let message = match error {
        ServerError::NoAuth => format!(
            "cannot {tried} {path}: not authorized: the node's ACL does not allow it to these credentials (use -c FILE with \
             `auth` in [registry])"
        ),
        error => format!("cannot {tried} {path}: {error}"),
    };
    let cause = if error == ServerError::NoAuth { Cause::Denied } else { Cause::Other };
    Fatal::new(Exit::Failed, message).of(cause)
}
