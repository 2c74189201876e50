//! Sessions with ZooKeeper, which requests share.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::config::RegistryConfig;
use crate::error::Fatal;
use crate::jones::store::Store;
use crate::watch::StateAccess;

use super::problem::Problem;

/// The most sessions. Each is used by one request at a time.
const MAX_SESSIONS: usize = 8;

/// How long a request waits for a session.
const WAIT: Duration = Duration::from_secs(5);

/// The sessions.
#[derive(Debug)]
pub struct Pool {
    stores: Vec<Arc<Mutex<Store>>>,
    /// One for each.
    permits: Arc<Semaphore>,
}

impl Pool {
    /// Nothing is contacted yet. `limit` is the time limit for the ensemble, and `max_request` the most bytes of a request
    /// to it.
    ///
    /// # Errors
    /// The registry is not a `ZooKeeper`.
    pub fn new(
        config: &RegistryConfig,
        state: &StateAccess,
        limit: Duration,
        max_request: usize,
    ) -> Result<Self, Fatal> {
        let store = || {
            let mut store = Store::new(config, state, limit)?;
            store.max_request = max_request;
            Ok(Arc::new(Mutex::new(store)))
        };
        let stores = (0..MAX_SESSIONS).map(|_| store()).collect::<Result<_, Fatal>>()?;
        Ok(Self { stores, permits: Arc::new(Semaphore::new(MAX_SESSIONS)) })
    }

    /// A session for one request.
    ///
    /// # Errors
    /// All are in use for too long.
    pub async fn take(&self) -> Result<Session, Problem> {
        let busy = || Problem::unreached("this server is busy: all of its sessions with ZooKeeper are in use");
        let permit = timeout(WAIT, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok).ok_or_else(busy)?;
        // The first ones, so that few are open where few are needed.
        let free = self.stores.iter().find_map(|store| Arc::clone(store).try_lock_owned().ok());
        let mut store = free.ok_or_else(busy)?;
        store.restart_limit();
        Ok(Session { store, _permit: permit })
    }
}

/// A session in use.
#[derive(Debug)]
pub struct Session {
    store: OwnedMutexGuard<Store>,
    _permit: OwnedSemaphorePermit,
}

impl Deref for Session {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Store {
        &mut self.store
    }
}
