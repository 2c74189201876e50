//! Reads configuration and templates again on a thread of its own: files, the user database and the resolver may be
//! slow, and neither sessions nor signals wait for them.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::config::Problems;
use crate::load::setup::{ConfigSource, Setup};
use crate::render::Library;

/// What is to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    /// The templates, with the configuration as it is; for an edit.
    Templates,
    /// Everything; for a HUP.
    Everything,
}

/// What was read.
#[derive(Debug)]
pub enum Loaded {
    /// The templates; `None` when none of them has changed.
    Templates(Result<Option<Library>, Problems>),
    /// Everything.
    Everything(Result<Box<Setup>, Problems>),
    /// Nothing, by a fault of this program.
    Broken(String),
}

/// One load at a time; what is asked for meanwhile follows it, once.
#[derive(Debug)]
pub struct Loader {
    source: ConfigSource,
    loading: Option<JoinHandle<Loaded>>,
    next: Option<Load>,
}

impl Loader {
    /// A loader of what the command line names.
    pub fn new(source: ConfigSource) -> Self {
        Self { source, loading: None, next: None }
    }

    /// Asks for a load; `setup` is what is in force.
    pub fn request(&mut self, load: Load, setup: &Arc<Setup>) {
        if self.loading.is_some() {
            self.next = self.next.max(Some(load));
            return;
        }
        let (source, setup) = (self.source.clone(), Arc::clone(setup));
        self.loading = Some(tokio::task::spawn_blocking(move || match load {
            Load::Templates => Loaded::Templates(setup.reload_templates()),
            Load::Everything => Loaded::Everything(Setup::load(&source, Some(&setup.host)).map(Box::new)),
        }));
    }

    /// Returns when a load has ended. May be dropped and asked again.
    pub async fn loaded(&mut self) -> Loaded {
        let Some(loading) = &mut self.loading else {
            return std::future::pending().await;
        };
        let loaded = loading.await.unwrap_or_else(|why| Loaded::Broken(why.to_string()));
        self.loading = None;
        loaded
    }

    /// Whether a load is under way.
    pub fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// What was asked for while the last load was under way, to be asked for with what is in force now.
    pub fn queued(&mut self) -> Option<Load> {
        self.next.take()
    }
}
