//! The connection of a command that reads or writes nodes and ends.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::config::RegistryConfig;
use crate::error::{Exit, Fatal, Setback};
use crate::watch::StateAccess;
use crate::zk::{Connection, ConnectionLost};

use super::connect::{Connected, connect};
use super::servers::Servers;
use super::session::Session;

/// Connects when a connection is needed, and again after one was lost, until a time limit.
#[derive(Debug)]
pub struct CommandSession {
    config: RegistryConfig,
    servers: Servers,
    session: Session,
    connection: Option<Connection>,
    limit: Duration,
    deadline: Instant,
    /// Why the last try failed.
    reason: Option<String>,
}

impl CommandSession {
    /// Nothing is contacted yet.
    pub fn new(config: &RegistryConfig, state: &StateAccess, limit: Duration) -> Self {
        Self {
            config: config.clone(),
            servers: Servers::new(config, state),
            session: Session::default(),
            connection: None,
            limit,
            deadline: Instant::now() + limit,
            reason: None,
        }
    }

    /// Starts the time limit again, after a person was waited for.
    pub fn restart_limit(&mut self) {
        self.deadline = Instant::now() + self.limit;
    }

    /// Whether most of the time is over.
    pub fn is_over(&self) -> bool {
        Instant::now() + self.limit / 4 >= self.deadline
    }

    /// The connection.
    ///
    /// # Errors
    /// The ensemble is not reached within the time limit, or refuses.
    pub async fn connection(&mut self) -> Result<Connection, Fatal> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let deadline = self.deadline;
        match timeout_at(deadline, self.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(self.unreached()),
        }
    }

    async fn connect(&mut self) -> Result<Connection, Fatal> {
        loop {
            sleep(self.session.pause()).await;
            match connect(&self.config, &mut self.servers, &mut self.session, &Arc::default(), &Arc::default()).await {
                Connected::Yes { connection, .. } => {
                    self.connection = Some(connection.clone());
                    return Ok(connection);
                }
                Connected::SessionExpired(reasons) | Connected::No { reasons, is_final: false } => {
                    self.session.no_server(Instant::now());
                    self.reason = Some(reasons.join("; "));
                }
                Connected::No { reasons, is_final: true } => {
                    self.reason = Some(reasons.join("; "));
                    return Err(self.unreached());
                }
            }
        }
    }

    /// Records that the connection was lost.
    pub fn lost(&mut self, lost: &ConnectionLost) {
        self.connection = None;
        self.session.failed(Instant::now());
        self.reason = Some(lost.to_string());
    }

    /// Waits for work on the connection.
    ///
    /// # Errors
    /// The time limit is over.
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Fatal> {
        timeout_at(self.deadline, work).await.map_err(|_| self.unreached())
    }

    fn unreached(&self) -> Fatal {
        let waited = || format!("no answer within {}", humantime::format_duration(self.limit));
        let reason = self.reason.clone().unwrap_or_else(waited);
        Fatal::new(Exit::Unreached, Setback::new(format!("use {}", self.config.url), reason).to_string())
    }

    /// Closes the session, so that servers need not keep it until it expires.
    pub async fn close(self) {
        if let Some(connection) = self.connection {
            connection.close().await;
        }
    }
}
