//! Reloads the configuration and the templates in a separate thread. Files, the user database and the resolver can be
//! slow, and must not block sessions and signals.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::config::Problems;
use crate::load::setup::{ConfigSource, Setup};
use crate::render::Library;

/// What to reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    /// The templates, with the current configuration: a template was edited.
    Templates,
    /// Everything, only to see whether it is valid now: the configuration was refused, and a template has been edited.
    Check,
    /// Everything: on HUP.
    Everything,
}

/// The result of a load.
#[derive(Debug)]
pub enum Loaded {
    /// The templates; `None` if none of them has changed.
    Templates(Result<Option<Library>, Problems>),
    /// Everything.
    Everything(Result<Box<Setup>, Problems>),
    /// Everything, which is not applied. Whether it is what is in use.
    Checked(Result<bool, Problems>),
    /// The load panicked, with the message.
    Broken(String),
}

/// Runs one load at a time. Requests during a load are combined into one load that follows it.
#[derive(Debug)]
pub struct Loader {
    source: ConfigSource,
    loading: Option<JoinHandle<Loaded>>,
    next: Option<Load>,
}

impl Loader {
    /// Creates a loader for this source.
    pub fn new(source: ConfigSource) -> Self {
        Self { source, loading: None, next: None }
    }

    /// Requests a load. `setup` is the current setup.
    pub fn request(&mut self, load: Load, setup: &Arc<Setup>) {
        if self.loading.is_some() {
            self.next = self.next.max(Some(load));
            return;
        }
        let (source, setup) = (self.source.clone(), Arc::clone(setup));
        self.loading = Some(tokio::task::spawn_blocking(move || match load {
            Load::Templates => Loaded::Templates(setup.reload_templates()),
            Load::Check => {
                let loaded = Setup::load(&source, Some(&setup.host));
                Loaded::Checked(loaded.map(|loaded| loaded.fingerprint() == setup.fingerprint()))
            }
            Load::Everything => Loaded::Everything(Setup::load(&source, Some(&setup.host)).map(Box::new)),
        }));
    }

    /// Waits for the end of a load. Cancel safe.
    pub async fn loaded(&mut self) -> Loaded {
        let Some(loading) = &mut self.loading else {
            return std::future::pending().await;
        };
        let loaded = loading.await.unwrap_or_else(|why| Loaded::Broken(why.to_string()));
        self.loading = None;
        loaded
    }

    /// Whether a load is in progress.
    pub fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// The load that was requested during the last one. The caller requests it with the current setup.
    pub fn queued(&mut self) -> Option<Load> {
        self.next.take()
    }
}
