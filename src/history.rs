//! The history: a bounded trail of what changed, why, and who asked for it, and the last contents of each file.
//!
//! A thread of its own writes the history, so that neither the event loop nor the file thread waits for it, and a
//! change of a file needs no additional sync. Events are recorded directly when they are emitted, not through
//! [`log::subscribe`](crate::log::subscribe), whose slow subscribers lose events. A history that cannot be written stops
//! nothing else: its last entries stay in memory.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io, thread};

use tokio::sync::oneshot;

use crate::config::{HistoryConfig, TemplateConfig};
use crate::decide::Event;
use crate::log::emit;
use crate::state::append_log::Access;

pub mod contents;
pub mod entry;
pub mod no_content;
pub mod text;
pub mod trail;

pub use entry::{Change, Entry, FileChange};
pub use no_content::NoContent;
pub use trail::Trail;

use entry::Draft;

/// The most bytes that wait for a disk that hangs. Beyond that, entries are lost.
const MAX_QUEUED: usize = 64 * 1024 * 1024;

/// What an entry without a content counts for in the queue.
const ENTRY_SIZE: usize = 1024;

/// How long the end of the process waits for the last entries.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

enum Job {
    Event(Draft),
    File(FileChange),
    Limits(HistoryConfig),
    Ask(Box<dyn FnOnce(&Trail) + Send>),
    /// Writes nothing more, and drops the sender.
    Close(oneshot::Sender<()>),
}

/// The newest entry with a difference of each template.
type Differences = BTreeMap<String, Arc<Entry>>;

/// The destination of the newest generation of each template.
type Known = BTreeMap<String, PathBuf>;

/// What is known without asking the thread.
#[derive(Debug, Default)]
struct Summary {
    differences: Mutex<Differences>,
    known: Mutex<Known>,
}

/// A handle on the history of a state directory. Clones share it.
#[derive(Debug, Clone)]
pub struct History {
    jobs: Sender<Job>,
    queue: Arc<Queue>,
    summary: Arc<Summary>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: AtomicUsize,
    /// Entries that were lost because the disk hung.
    lost: AtomicUsize,
}

impl History {
    /// Opens the history of a state directory that this process has locked, on a new thread. It records every event from
    /// now on.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn open(state_dir: &Path, limits: HistoryConfig) -> io::Result<Self> {
        let (jobs, inbox) = channel();
        let history = Self { jobs, queue: Arc::default(), summary: Arc::default() };
        let (state_dir, own) = (state_dir.to_owned(), (Arc::clone(&history.queue), Arc::clone(&history.summary)));
        thread::Builder::new().name("rosterd-history".to_owned()).spawn(move || {
            let trail = Trail::open(&state_dir, limits, Access::ReadWrite);
            work(&inbox, trail, &own.0, &own.1);
        })?;
        let recorder = history.clone();
        crate::log::observe(move |event| recorder.record_event(event));
        Ok(history)
    }

    fn record_event(&self, event: &Event) {
        if let Some(draft) = Draft::new(event) {
            self.send(ENTRY_SIZE, Job::Event(draft));
        }
    }

    /// Records the content of a file.
    pub fn record_file(&self, file: FileChange) {
        self.send(ENTRY_SIZE + file.bytes.len(), Job::File(file));
    }

    /// Changes the limits.
    pub fn set_limits(&self, limits: HistoryConfig) {
        let _ = self.jobs.send(Job::Limits(limits));
    }

    /// Queues an entry of this size. Never blocks.
    fn send(&self, size: usize, job: Job) {
        if self.queue.bytes.fetch_add(size, Ordering::Relaxed) > MAX_QUEUED {
            self.queue.bytes.fetch_sub(size, Ordering::Relaxed);
            self.queue.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // The thread may have ended.
        let _ = self.jobs.send(job);
    }

    /// Asks the thread, after everything recorded so far; `None` if it has ended.
    pub async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&Trail) -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let _ = self.jobs.send(Job::Ask(Box::new(move |trail| {
            let _ = answer.send(question(trail));
        })));
        answered.await.ok()
    }

    /// The newest entry with a difference of each template whose file every user may read. In memory: never blocks on a
    /// disk.
    pub fn last_differences(&self) -> Differences {
        self.summary.differences.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is a generation of a template's file. It may be a moment late.
    pub fn knows(&self, template: &TemplateConfig) -> bool {
        let known = self.summary.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&*template.name).is_some_and(|dest| *dest == template.dest)
    }

    /// Writes everything recorded so far, and nothing afterwards.
    pub async fn close(&self) {
        let (closed, waits) = oneshot::channel();
        let _ = self.jobs.send(Job::Close(closed));
        // A disk may hang.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, waits).await;
    }
}

fn work(inbox: &Receiver<Job>, mut trail: Trail, queue: &Queue, summary: &Summary) {
    loop {
        if trail.prune() {
            *summary.differences.lock().unwrap_or_else(PoisonError::into_inner) = public_differences(&trail);
            *summary.known.lock().unwrap_or_else(PoisonError::into_inner) = trail.destinations().collect();
        }
        let Ok(first) = inbox.recv() else { return };
        for job in std::iter::once(first).chain(inbox.try_iter()) {
            match job {
                Job::Event(draft) => {
                    queue.bytes.fetch_sub(ENTRY_SIZE, Ordering::Relaxed);
                    trail.add_event(draft);
                }
                Job::File(file) => {
                    queue.bytes.fetch_sub(ENTRY_SIZE + file.bytes.len(), Ordering::Relaxed);
                    trail.add_file(file);
                }
                Job::Limits(limits) => trail.set_limits(limits),
                Job::Ask(question) => question(&trail),
                Job::Close(_closed) => {
                    trail.prune();
                    return;
                }
            }
        }
        let lost = queue.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let reason = format!("{lost} entries were dropped, because the disk did not answer");
            emit(Event::StateWriteFailed { file: None, reason, effect: "changes are missing from the history" });
        }
    }
}

/// The newest differences, but for those of files that not every user may read: the status page shows them to anyone.
fn public_differences(trail: &Trail) -> Differences {
    let entries = trail.entries().filter(|entry| entry.diff.is_some());
    // A later one replaces an earlier one.
    let mut newest: Differences =
        entries.flat_map(|it| it.templates.iter().map(|name| (name.clone(), Arc::clone(it)))).collect();
    let may_be_read = |dest: &str| fs::metadata(dest).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0);
    newest.retain(|_, entry| entry.fields.get("dest").and_then(|dest| dest.as_str()).is_some_and(may_be_read));
    newest
}
