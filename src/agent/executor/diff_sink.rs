//! Where the unified diffs of a pass are kept until it is over.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::act::files;

/// The unified diffs of a pass, one after the other.
#[derive(Debug, Clone, Default)]
pub struct DiffSink(Arc<Mutex<String>>);

impl DiffSink {
    /// Adds how a file differs from its new bytes.
    pub async fn add(&self, old: Option<Vec<u8>>, new: Vec<u8>, dest: PathBuf) {
        let name = dest.display().to_string();
        // Of large files it takes seconds, in which an agent must hear its registries.
        let diff = tokio::task::spawn_blocking(move || files::unified_diff(old.as_deref(), &new, &dest));
        let diff = diff.await.unwrap_or_else(|why| format!("cannot show the difference of {name}: {why}\n"));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(&diff);
    }

    /// All of them.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
