//! Notices that destinations may have been edited by somebody else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::RecursiveMode;
use tokio::time::{Instant, Interval, interval_at};
use tracing::warn;

use crate::config::Config;
use crate::edits::Edits;

/// How often all destinations are looked at although nothing was heard: of a file system that tells nothing, and of
/// folders that were made or replaced later.
const LOOK: Duration = Duration::from_mins(5);

/// Follows the folders that destinations are in.
#[derive(Debug)]
pub struct Drifts {
    edits: Edits,
    /// Folders that are not there yet.
    missing: BTreeSet<PathBuf>,
    looks: Interval,
}

impl Drifts {
    /// Watches the folders of all destinations. Where the system has no more watches to give, destinations are looked at
    /// from time to time, and that is said.
    pub fn watch(config: &Config) -> Self {
        let configs = || config.templates.iter();
        let files: BTreeSet<PathBuf> = configs().filter(|it| it.each.is_none()).map(|it| it.dest.clone()).collect();
        let of_each = configs().filter(|it| it.each.is_some());
        let of_each: BTreeSet<PathBuf> = of_each.filter_map(|it| it.dest.parent()).map(Path::to_path_buf).collect();
        let folders = configs().filter_map(|it| it.dest.parent()).map(Path::to_path_buf).collect();
        let concerns = move |path: &Path| files.contains(path) || path.parent().is_some_and(|it| of_each.contains(it));
        let (edits, why) = Edits::new(concerns);
        // Hosts that were started together do not look together.
        let first = LOOK.mul_f64(1.0 + f64::from(std::process::id() % 100) / 100.0);
        let mut drifts = Self { edits, missing: folders, looks: interval_at(Instant::now() + first, LOOK) };
        if let Some(why) = drifts.follow().or(why) {
            warn!(%why, "cannot watch all destinations: some are looked at every few minutes");
        }
        drifts
    }

    /// Follows what is there by now; why some of that cannot be.
    fn follow(&mut self) -> Option<notify::Error> {
        let mut trouble = None;
        let Self { edits, missing, .. } = self;
        missing.retain(|folder| {
            if !folder.is_dir() {
                return true;
            }
            let followed = edits.follow(folder, RecursiveMode::NonRecursive);
            let failed = followed.is_err();
            trouble = trouble.take().or(followed.err());
            failed
        });
        trouble
    }

    /// Returns when destinations are to be looked at. May be dropped and asked again without losing anything.
    pub async fn due(&mut self) {
        tokio::select! {
            () = self.edits.settled() => {}
            _ = self.looks.tick() => {}
        }
        // What cannot be watched was said, and is looked at.
        let _ = self.follow();
    }
}
