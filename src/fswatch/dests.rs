//! Notices that destinations may have been edited by somebody else.

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

/// How often all destinations are looked at although no event came: a file system may report none, and of
/// directories above which something was renamed or mounted.
const CHECK_INTERVAL: Duration = Duration::from_mins(5);

/// How often it is tried to follow directories that cannot be followed yet.
const RETRY: Duration = Duration::from_secs(5);

/// A directory's device and inode.
type Id = (u64, u64);

/// Follows the directories that destinations are in.
#[derive(Debug)]
pub struct DestWatcher {
    /// Somebody has edited something.
    settled: Arc<Notify>,
    /// `None` while it is at work.
    follower: Option<DirectoryWatcher>,
    /// A file system may hang: it works on a thread of its own.
    work: Option<JoinHandle<(DirectoryWatcher, WatchResult)>>,
    /// Destinations are to be looked at once it has done its work.
    is_due: bool,
    /// Some directory is not followed.
    is_incomplete: bool,
    checks: Interval,
    retries: Interval,
}

/// Follows directories that come and go.
#[derive(Debug)]
struct DirectoryWatcher {
    edits: Debounce,
    /// Each directory, and which one is followed; `None`: none, as long as it is not there, or the system has no more
    /// watches to give.
    directories: BTreeMap<PathBuf, Option<Id>>,
    /// Destinations that are links, or may be.
    links: Vec<PathBuf>,
    names: Arc<Mutex<Names>>,
}

/// What has come of following what is there.
#[derive(Debug, Default)]
struct WatchResult {
    /// There are directories that were not followed before.
    is_new: bool,
    /// Why some of what is there cannot be followed.
    error: Option<notify::Error>,
}

/// The paths whose events count.
#[derive(Debug, Default)]
struct Names {
    /// Destinations, and what they lead to.
    files: BTreeSet<PathBuf>,
    /// The directories of templates with `each`: any file in there may be one's.
    of_each: BTreeSet<PathBuf>,
    /// Directories that are followed.
    directories: BTreeSet<PathBuf>,
    /// Directories that something has happened to since they were followed: there may be no more events of them.
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

    /// Watches the directories of files, and whole directories; and why that cannot be done for all of them.
    fn over(
        files: BTreeSet<PathBuf>,
        of_each: BTreeSet<PathBuf>,
        links: Vec<PathBuf>,
    ) -> (Self, Option<notify::Error>) {
        let (mut follower, why) = DirectoryWatcher::new(files, of_each, links);
        let WatchResult { error, .. } = follower.follow();
        // Hosts that were started together do not look together.
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
        // After an hour in which every directory was followed, no hour is made up for.
        watcher.retries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        watcher.checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        (watcher, error.or(why))
    }

    /// Returns when destinations are to be looked at. May be dropped and asked again without losing anything.
    pub async fn due(&mut self) {
        loop {
            if let Some(work) = &mut self.work {
                let done = work.await;
                self.work = None;
                // What cannot be watched was said, and is looked at.
                let is_new = done.is_ok_and(|(follower, followed)| {
                    self.is_incomplete = follower.is_incomplete();
                    self.follower = Some(follower);
                    followed.is_new
                });
                // Files of a new directory may have been edited before.
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
                // It broke off, which is a fault; a look needs none.
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
    /// Follows nothing yet. The second is why there is no watch.
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

    /// Follows what is there by now, in place of what was there before.
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

    /// What a link leads to is edited there.
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
