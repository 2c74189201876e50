//! Reports that another process may have edited destinations.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::RecursiveMode;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::config::{Config, Symlink};
use crate::decide::Event;
use crate::fswatch::debounce::Debounce;
use crate::log::emit;

#[cfg(test)]
mod tests;

/// How often all destinations are checked without an event: some file systems report no events, and a rename or mount
/// above a directory causes none.
const CHECK_INTERVAL: Duration = Duration::from_mins(5);

/// How often to retry directories that cannot be watched yet.
const RETRY: Duration = Duration::from_secs(5);

/// A directory's device and inode.
type Id = (u64, u64);

/// Watches the directories of destinations.
#[derive(Debug)]
pub struct DestWatcher {
    /// Notified when edits have settled.
    settled: Arc<Notify>,
    /// `None` while `work` uses it.
    follower: Option<DirectoryWatcher>,
    /// Sets watches on a separate thread, because a file system may hang.
    work: Option<JoinHandle<(DirectoryWatcher, WatchResult)>>,
    /// Destinations are to be checked when `work` is done.
    is_due: bool,
    /// Some directory is not watched.
    is_incomplete: bool,
    checks: Interval,
    retries: Interval,
}

/// Watches directories that may be created and removed.
#[derive(Debug)]
struct DirectoryWatcher {
    edits: Debounce,
    /// Each directory by its path, and the one that is watched; `None` if it does not exist or the system has no
    /// watches left.
    directories: BTreeMap<PathBuf, Option<Id>>,
    /// Destinations that are links, or may be.
    links: Vec<PathBuf>,
    names: Arc<Mutex<Names>>,
}

/// The result of watching the directories that exist.
#[derive(Debug, Default)]
struct WatchResult {
    /// Directories are watched that were not watched before.
    is_new: bool,
    /// Why some existing directory cannot be watched.
    error: Option<notify::Error>,
}

/// The paths whose events count.
#[derive(Debug, Default)]
struct Names {
    /// Destinations, and the targets of their links.
    files: BTreeSet<PathBuf>,
    /// The directories of templates with `each`: any file in them may be a destination.
    of_each: BTreeSet<PathBuf>,
    /// Directories that are watched.
    directories: BTreeSet<PathBuf>,
    /// Directories that were themselves changed since they were watched: they may report no more events.
    changed: BTreeSet<PathBuf>,
}

impl Names {
    fn concern(&mut self, path: &Path) -> bool {
        if self.directories.contains(path) {
            self.changed.insert(path.to_owned());
            return true;
        }
        self.files.contains(path) || path.parent().is_some_and(|it| self.of_each.contains(it))
    }
}

impl DestWatcher {
    /// Watches the directories of all destinations. If the system has no watches left, destinations are checked
    /// periodically, and the failure is logged.
    pub fn watch(config: &Config) -> Self {
        let configs = || config.templates.iter();
        let of_each = configs().filter(|it| it.each.is_some()).filter_map(|it| it.dest.parent());
        let links = configs().filter(|it| it.placing.symlink == Symlink::Follow);
        let (watcher, why) = Self::over(
            configs().filter(|it| it.each.is_none()).map(|it| it.dest.clone()).collect(),
            of_each.map(Path::to_path_buf).collect(),
            links.map(|it| it.dest.clone()).collect(),
        );
        if let Some(why) = why {
            emit(Event::DriftWatchFailed { reason: why.to_string() });
        }
        watcher
    }

    /// Watches the directories of files, and whole directories. Also returns why some of them cannot be watched.
    fn over(
        files: BTreeSet<PathBuf>,
        of_each: BTreeSet<PathBuf>,
        links: Vec<PathBuf>,
    ) -> (Self, Option<notify::Error>) {
        let (mut follower, why) = DirectoryWatcher::new(files, of_each, links);
        let WatchResult { error, .. } = follower.follow();
        // Hosts that started at the same time check at different times.
        let first = CHECK_INTERVAL.mul_f64(1.0 + f64::from(std::process::id() % 100) / 100.0);
        let mut watcher = Self {
            settled: follower.edits.notifier(),
            is_incomplete: follower.is_incomplete(),
            follower: Some(follower),
            work: None,
            is_due: false,
            checks: interval_at(Instant::now() + first, CHECK_INTERVAL),
            retries: interval_at(Instant::now() + RETRY, RETRY),
        };
        // Ticks that were missed while every directory was watched are not made up for.
        watcher.retries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        watcher.checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        (watcher, error.or(why))
    }

    /// Returns when destinations are to be checked. May be dropped and called again without losing an edit.
    pub async fn due(&mut self) {
        loop {
            if let Some(work) = &mut self.work {
                let done = work.await;
                self.work = None;
                // A watch that failed was logged at the start. The regular check covers its directory.
                let is_new = done.is_ok_and(|(follower, followed)| {
                    self.is_incomplete = follower.is_incomplete();
                    self.follower = Some(follower);
                    followed.is_new
                });
                // Files of a new directory may have been edited before the watch.
                if std::mem::take(&mut self.is_due) || is_new {
                    return;
                }
            }
            tokio::select! {
                () = self.settled.notified() => self.is_due = true,
                _ = self.checks.tick() => self.is_due = true,
                _ = self.retries.tick(), if self.is_incomplete => {}
            }
            let Some(mut follower) = self.follower.take() else {
                // The thread panicked. A check needs no watch.
                self.is_due = false;
                return;
            };
            self.work = Some(spawn_blocking(move || {
                let done = follower.follow();
                (follower, done)
            }));
        }
    }
}

impl DirectoryWatcher {
    /// Watches nothing yet. Also returns why there is no watcher.
    fn new(files: BTreeSet<PathBuf>, of_each: BTreeSet<PathBuf>, links: Vec<PathBuf>) -> (Self, Option<notify::Error>) {
        let directories: BTreeSet<PathBuf> =
            files.iter().filter_map(|file| file.parent()).map(Path::to_path_buf).chain(of_each.clone()).collect();
        let names = Names { files, of_each, directories: directories.clone(), changed: BTreeSet::new() };
        let names = Arc::new(Mutex::new(names));
        let on_event = Arc::clone(&names);
        let (edits, why) =
            Debounce::new(move |path| on_event.lock().unwrap_or_else(PoisonError::into_inner).concern(path));
        let directories = directories.into_iter().map(|directory| (directory, None)).collect();
        (Self { edits, directories, links, names }, why)
    }

    /// Watches the directories that exist now instead of those that existed before.
    fn follow(&mut self) -> WatchResult {
        self.follow_links();
        let changed = std::mem::take(&mut self.names().changed);
        let mut done = WatchResult::default();
        for (directory, followed) in &mut self.directories {
            let is_there = fs::metadata(directory).ok().filter(fs::Metadata::is_dir);
            let id = is_there.map(|meta| (meta.dev(), meta.ino()));
            if *followed == id && !changed.contains(directory) {
                continue;
            }
            if followed.take().is_some() {
                self.edits.forget(directory);
            }
            let Some(id) = id else { continue };
            match self.edits.follow(directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    *followed = Some(id);
                    done.is_new = true;
                }
                Err(why) => done.error = done.error.or(Some(why)),
            }
        }
        done
    }

    /// Adds the targets of links, because a file behind a link is edited at its target.
    fn follow_links(&mut self) {
        for link in &self.links {
            let Some(target) = fs::canonicalize(link).ok().filter(|target| target != link) else { continue };
            let Some(directory) = target.parent().map(Path::to_path_buf) else { continue };
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.directories.insert(directory.clone());
            names.files.insert(target);
            self.directories.entry(directory).or_default();
        }
    }

    fn is_incomplete(&self) -> bool {
        self.directories.values().any(Option::is_none)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
