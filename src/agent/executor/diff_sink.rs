//! Collects the unified diffs of a pass.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::act::files;

/// The unified diffs of a pass, in order.
#[derive(Debug, Clone, Default)]
pub struct DiffSink(Arc<Mutex<String>>);

impl DiffSink {
    /// Adds the diff between a file and its new content.
    pub async fn add(&self, old: Option<Vec<u8>>, new: Vec<u8>, dest: PathBuf) {
        let name = dest.display().to_string();
        // A diff of large files takes seconds and must not block the event loop.
        let diff = tokio::task::spawn_blocking(move || files::unified_diff(old.as_deref(), &new, &dest));
        let diff = diff.await.unwrap_or_else(|why| format!("cannot compute the diff of {name}: {why}\n"));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(&diff);
    }

    /// All diffs.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
