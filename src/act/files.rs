//! Files and commands: brings one destination in step, and makes software take it up.
//!
//! A replacement is one way through: look at the destination (`place`), stage the new file beside it (`stage`), run
//! the check on the staged file (`command`), note in the [`journal`] whose reload will be owed, rename and sync
//! (`commit`). Files that change together take these steps side by side (`round`), and share their syncs; those that
//! belong together wait for each other's checks (`joint`). At every instant a reader of the destination
//! sees the whole old or the whole new file; whatever fails before the rename leaves the old file's inode alone and no
//! staged file behind. Every call on a destination is made by the one thread of [`Writer`]; commands are waited for
//! elsewhere, so a slow check holds up only what belongs together with its
//! file.

use crate::act::process::command;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
use tokio::sync::oneshot::Sender;
use tokio_util::sync::CancellationToken;

use crate::config::TemplateConfig;
use crate::decide;
use crate::decide::{Failure, Outcome};
use crate::error::Setback;

pub mod answer;
pub mod attributes;
pub mod backup;
pub mod batch;
pub mod batch_commit;
pub mod block;
pub mod commit;
pub mod content;
pub mod diff;
pub mod directory;
pub mod drift;
pub mod errors;
pub mod file_state;
pub mod fingerprint;
pub mod inplace;
pub mod leftovers;
pub mod ownership;
pub mod place;
pub mod recover;
pub mod removal;
pub mod remove;
pub mod rollback;
pub mod stage;
pub mod staging;
pub mod writer;

pub use crate::act::process::reload::reload;
pub use crate::state::journal::ReloadRun;
pub use crate::state::lock::StateLock;
pub use batch::{Batch, BatchFile};
pub use diff::unified_diff;
pub use recover::{CurrentConfig, recover, retry_unfinished, unfinished_count};
pub use remove::remove;
pub use rollback::restore;
pub use writer::Writer;

use crate::act::process::command::{How, Occasion, Title};
use batch_commit::Commit;
use content::Content;
use errors::write_failure;
use place::Place;
use stage::{Permissions, Staged};
use staging::{NextStep, StageJob};
use writer::Job;

/// The signals by which a program ends that falls over.
const CRASH_SIGNALS: [i32; 7] = [SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS];

/// How often a file is made anew at once that others change while it is made.
const MAX_TRIES: usize = 5;

/// Brings a template's destination in step with these bytes: all of it, or the template's block in it.
///
/// The same bytes with the configured mode and owner are left as they are, without a write. A wrong mode or owner
/// alone is put right by a replacement too: a reader then never meets the half-way state of a chown before its chmod,
/// and the software may need its reload to get at a file that it could not read.
///
/// Never waits for ever on a check: that is bounded by `check_timeout`. When `stop` is cancelled before the rename,
/// the answer is [`Outcome::Abandoned`]; after it the replacement is finished.
///
/// Never answers [`Outcome::WouldReplace`]. [`Outcome::Failed`] means that the destination is as it was, but for one
/// case that its message tells: the file is in place and its directory could not be synced. A retry then replaces it once
/// more, so that a reload stays due.
///
/// With a `batch_file` in a group the file is placed together with the others; it stays in `batch_file` where the file does not get
/// so far.
pub async fn publish(
    writer: &Writer,
    template: &TemplateConfig,
    bytes: Vec<u8>,
    stop: &CancellationToken,
    batch_file: &mut Option<BatchFile>,
) -> Outcome {
    // Only a file that others write too can have changed meanwhile, and then is made anew from what it is now: alone,
    // where its group has gone without it.
    let tries = if template.placing.block.is_some() { MAX_TRIES } else { 1 };
    for _ in 1..tries {
        match replace(writer, template, bytes.clone(), stop, batch_file).await {
            Err(Failure { stage: decide::Stage::Changed, .. }) => {}
            ended => return ended.unwrap_or_else(Outcome::Failed),
        }
    }
    replace(writer, template, bytes, stop, batch_file).await.unwrap_or_else(Outcome::Failed)
}

/// Has a template's check tell whether it takes these bytes, and replaces nothing: [`Outcome::WouldReplace`] where it
/// does. It is asked about those that the destination has already, too: what it took once it may refuse by now.
pub async fn probe(writer: &Writer, template: &TemplateConfig, bytes: Vec<u8>, stop: &CancellationToken) -> Outcome {
    let probed = async {
        let Some(staged) = stage_for_check(writer, template, bytes, stop, NextStep::CheckOnly).await? else {
            return Ok(Outcome::Unchanged);
        };
        let checked = check(template, &staged.path(), stop).await;
        let discarded = staged.discard().await;
        let outcome = if checked? { Outcome::WouldReplace } else { Outcome::Abandoned };
        discarded.map(|()| outcome)
    };
    probed.await.unwrap_or_else(Outcome::Failed)
}

/// Stages bytes for their check; `None` where the destination has them already.
async fn stage_for_check(
    writer: &Writer,
    template: &TemplateConfig,
    bytes: Vec<u8>,
    stop: &CancellationToken,
    next: fn(Sender<Result<Option<Staged>, Setback>>) -> NextStep,
) -> Result<Option<StagedHandle>, Failure> {
    let stage = |answer| stage(template, bytes, stop, next(answer));
    let staged = writer.ask(stage).await.flatten().map_err(|setback| write_failure(&setback))?;
    Ok(staged.map(|staged| StagedHandle { writer: writer.clone(), staged: Some(staged) }))
}

async fn replace(
    writer: &Writer,
    template: &TemplateConfig,
    bytes: Vec<u8>,
    stop: &CancellationToken,
    batch_file: &mut Option<BatchFile>,
) -> Result<Outcome, Failure> {
    if stop.is_cancelled() {
        return Ok(Outcome::Abandoned);
    }
    if template.check.is_none() && !batch_file.as_ref().is_some_and(BatchFile::is_all_or_nothing) {
        return match batch_file.take() {
            Some(batch_file) => batch_file.rendered(template, bytes).await,
            None => place(writer, template, bytes, stop).await,
        };
    }
    let Some(staged) = stage_for_check(writer, template, bytes, stop, NextStep::Check).await? else {
        return Ok(Outcome::Unchanged);
    };
    match check(template, &staged.path(), stop).await {
        Ok(true) => match batch_file.take() {
            Some(batch_file) => batch_file.staged(staged).await,
            None => staged.commit(stop).await,
        },
        Ok(false) => staged.discard().await.map(|()| Outcome::Abandoned),
        // The check's words are worth more than those of a failed clean-up, which are in the log.
        Err(failure) => staged.discard().await.and(Err(failure)),
    }
}

fn stage(template: &TemplateConfig, bytes: Vec<u8>, stop: &CancellationToken, next: NextStep) -> Job {
    Job::Stage(Box::new(StageJob { template: template.clone(), bytes, stop: stop.clone(), next }))
}

/// Places a file alone that has no check.
async fn place(
    writer: &Writer,
    template: &TemplateConfig,
    bytes: Vec<u8>,
    stop: &CancellationToken,
) -> Result<Outcome, Failure> {
    let stage = |answer| stage(template, bytes, stop, NextStep::Commit(answer));
    writer.ask(stage).await.map_err(|setback| write_failure(&setback))?
}

/// The destination against what it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Whether [`publish`] would replace it.
    pub differs: bool,
    /// Its bytes now; `None` when there is no such file yet.
    pub old: Option<Vec<u8>>,
    /// All the bytes that it would get.
    pub new: Vec<u8>,
    /// Where mode or owner differ, which, in words: "mode 0600 becomes 0644".
    pub attributes: Option<String>,
}

/// Says what [`publish`] would do, without doing it, for dry runs and diffs. No check command is run.
///
/// # Errors
/// Where `publish` would refuse or fail by what stands at the destination now.
pub async fn compare(writer: &Writer, template: &TemplateConfig, bytes: &[u8]) -> Result<Comparison, Setback> {
    let (template, bytes) = (template.clone(), bytes.to_owned());
    writer
        .call(move |state| {
            let place = Place::find(&template, &mut state.directories)?;
            let mut old = place.as_ref().map(Place::existing).transpose()?.flatten();
            if let (Some(place), Some(old)) = (&place, &old) {
                ownership::check(old, place, &state.tag)?;
            }
            let content = Content::new(&template, bytes, &mut old)?;
            let attributes = old.as_ref().and_then(|old| Permissions::new(&template, Some(old)).describe_changes(old));
            let differs = attributes.is_some() || !content.is_in(old.as_mut(), &template.dest)?;
            let now = content.base.and_then(|base| base.bytes);
            let now =
                now.map_or_else(|| old.map(|mut old| old.read(&template.dest)).transpose(), |now| Ok(Some(now)))?;
            Ok(Comparison { differs, old: now, new: content.bytes, attributes })
        })
        .await
        .flatten()
}

/// Which of these templates' destinations are not as the agent left them, and how; or are so again. One that it has left
/// nothing at is none of them. `begins` is called as soon as the look begins: whatever somebody does after that is for
/// another one.
pub async fn drifted(
    writer: &Writer,
    templates: Vec<Arc<str>>,
    begins: impl FnOnce() + Send + 'static,
) -> Vec<(Arc<str>, Option<String>)> {
    let look = writer.call(move |state| {
        begins();
        let look = |template: Arc<str>| state.last_written.get_mut(&template)?.check(template);
        templates.into_iter().filter_map(look).collect()
    });
    // Without an answer the next look tells.
    look.await.unwrap_or_default()
}

/// RunningReloads the template's check on its staged file: whether it passed, or `false` when it was cut off by `stop`.
async fn check(template: &TemplateConfig, staged: &Path, stop: &CancellationToken) -> Result<bool, Failure> {
    let Some(check) = &template.check else { return Ok(true) };
    let failed = |message: String| Failure { stage: decide::Stage::Check, message };
    let refused = |message: String| Failure { stage: decide::Stage::Refused, message };
    let (Some(src), Some(dest)) = (staged.to_str(), template.dest.to_str()) else {
        let setback = Setback::new(format!("check {}", template.dest.display()), "its path is not UTF-8");
        return Err(failed(setback.hint("give another dest").to_string()));
    };
    let command = check.fill(src, dest);
    let occasion = Occasion { template: &template.name, src, dest, changed: dest };
    let environment = command::environment(&template.env, &occasion);
    let title = Title { what: "check", command: check };
    let end = command::run(title, &command, &environment, template.check_timeout, stop).await;
    match end.how {
        How::Exited(0) => Ok(true),
        How::Abandoned => Ok(false),
        // What a shell says where it did not run the program at all.
        How::Exited(code) if code != 126 && code != 127 => Err(refused(end.words("check", &command))),
        // A program that a file makes fall over does not take it.
        How::Signalled(signal) if CRASH_SIGNALS.contains(&signal) => Err(refused(end.words("check", &command))),
        _ => Err(failed(end.words("check", &command))),
    }
}

/// A staged file outside the file thread. It goes back there to be placed or removed, also when the publication's
/// future is dropped.
#[derive(Debug)]
pub struct StagedHandle {
    writer: Writer,
    staged: Option<Staged>,
}

impl StagedHandle {
    fn path(&self) -> PathBuf {
        self.staged.as_ref().map(Staged::path).unwrap_or_default()
    }

    /// The job that places it.
    fn into_commit(mut self, stop: CancellationToken, answer: Sender<Result<Outcome, Failure>>) -> Option<Commit> {
        Some(Commit { staged: self.staged.take()?, stop, answer })
    }

    async fn commit(mut self, stop: &CancellationToken) -> Result<Outcome, Failure> {
        let Some(staged) = self.staged.take() else { return Ok(Outcome::Abandoned) };
        let commit = |answer| Job::Commit(Box::new(Commit { staged, stop: stop.clone(), answer }));
        self.writer.ask(commit).await.map_err(|setback| write_failure(&setback))?
    }

    async fn discard(mut self) -> Result<(), Failure> {
        let staged = self.staged.take();
        self.writer.call(move |_| drop(staged)).await.map_err(|setback| write_failure(&setback))
    }
}

impl Drop for StagedHandle {
    fn drop(&mut self) {
        if let Some(staged) = self.staged.take() {
            self.writer.in_order(move || drop(staged));
        }
    }
}
