//! Where a unified diff goes.

use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::act::files;
use crate::decide::{Failure, Outcome, Stage};

/// Where a unified diff goes.
#[derive(Debug, Clone)]
pub enum Page {
    /// To standard output.
    Stdout,
    /// Kept for whoever asked.
    Kept(Arc<Mutex<String>>),
}

impl Page {
    /// Shows how a file differs from its new bytes.
    ///
    /// # Errors
    /// It could not be printed: how the publication ends.
    pub async fn show(&self, old: Option<Vec<u8>>, new: Vec<u8>, dest: PathBuf) -> Result<(), Outcome> {
        let tried = format!("print the difference of {}", dest.display());
        // Of large files it takes seconds, in which an agent must hear its registries.
        let diff = tokio::task::spawn_blocking(move || files::unified_diff(old.as_deref(), &new, &dest));
        let printed = match diff.await {
            Ok(diff) => self.print(diff).await,
            Err(why) => Err(io::Error::other(why)),
        };
        printed.map_err(|why| Outcome::Failed(Failure { stage: Stage::Write, message: format!("{tried}: {why}") }))
    }

    /// Standard output is written to on a thread of its own: whoever reads may take his time. A reader who has seen
    /// enough is no failure.
    async fn print(&self, text: String) -> io::Result<()> {
        if let Self::Kept(kept) = self {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            return Ok(());
        }
        let printed = tokio::task::spawn_blocking(move || io::stdout().lock().write_all(text.as_bytes()));
        match printed.await.unwrap_or_else(|why| Err(io::Error::other(why))) {
            Err(why) if why.kind() == ErrorKind::BrokenPipe => Ok(()),
            printed => printed,
        }
    }
}
