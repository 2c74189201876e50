//! Writes files: brings a destination up to date with the bytes that were rendered for it.
//!
//! A replacement takes these steps: look at the destination (`place`), write the new file beside it (`stage`), run the
//! check command on the staged file, record in the [`journal`](crate::state::journal) which reload will be pending,
//! rename and sync (`commit`). Files that change together take each step together and share their syncs
//! (`batch_commit`). Files of a unit wait for each other's checks (`batch`).
//!
//! At every instant a reader of the destination sees either the old file or the new one, complete. A failure before the
//! rename leaves the old inode untouched and removes the staged file. The file thread of [`Writer`] makes every system
//! call on a destination. Commands run elsewhere, so a slow check delays only its own file and those of its batch.

use crate::act::process::command;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use nix::libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
use tokio::sync::oneshot::Sender;
use tokio_util::sync::CancellationToken;

use crate::config::{Placeholder, TemplateConfig, UnitPaths};
use crate::decide;
use crate::decide::event::microseconds;
use crate::decide::{Event, Failure, Outcome};
use crate::error::Setback;
use crate::log::emit;
use crate::state::journal::ModeAndOwner;

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
pub mod file_state;
pub mod fingerprint;
pub mod handle;
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
pub mod unit_check;
pub mod writer;

pub use crate::act::process::reload::reload;
pub use batch::{Batch, BatchFile};
pub use diff::unified_diff;
pub use recover::{CurrentConfig, recover, retry_unfinished, unfinished_count};
pub use remove::remove;
pub use rollback::restore;
pub use unit_check::{RenderCopy, Rendered};
pub use writer::Writer;

use crate::act::process::command::Title;
use crate::act::process::environment::{Variables, environment};
use crate::act::process::launch::Termination;
use answer::write_failure;
use content::Content;
use file_state::FileState;
use handle::Handle;
use place::Place;
use stage::{Permissions, Staged};
use staging::{NextStep, StageJob};
use unit_check::{UnitFile, UnitView};
use writer::Job;

/// Signals that mean that a check command crashed.
const CRASH_SIGNALS: [i32; 7] = [SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS];

/// The most bytes of a file that the history keeps from before the first write: as many as a rendered file can have.
const MAX_KEPT: u64 = 16 * 1024 * 1024;

/// How many times in a row a file with a `block` is built if another process edits it meanwhile.
const MAX_TRIES: usize = 5;

/// Brings a template's destination up to date with these bytes: the whole file, or the template's block in it.
///
/// If the file already has these bytes and the configured mode and owner, nothing is written. If only the mode or the
/// owner is wrong, the file is replaced too: a reader then never sees the state between a chown and its chmod, and
/// software that could not read the file gets its reload.
///
/// A check command runs for at most `check_timeout`. If `stop` is cancelled before the rename, the outcome is
/// [`Outcome::Abandoned`]; after it, the replacement is finished.
///
/// Never returns [`Outcome::WouldReplace`]. [`Outcome::Failed`] means that the destination is unchanged, except in one
/// case, which the message names: the file is in place, but its directory could not be synced. The retry then replaces
/// the file again, so the reload stays pending.
///
/// With a `batch_file` the file is committed with the rest of its batch. It stays in `batch_file` if publishing ends
/// before that.
pub async fn publish(
    writer: &Writer,
    template: &TemplateConfig,
    rendered: impl Into<Rendered>,
    stop: &CancellationToken,
    batch_file: &mut Option<BatchFile>,
) -> Outcome {
    // Only a file with a block has other writers. If one of them edits it meanwhile, the file is rebuilt from its new
    // content, alone if its batch is gone by then.
    let (tries, rendered) = (if template.placing.block.is_some() { MAX_TRIES } else { 1 }, rendered.into());
    for _ in 1..tries {
        match replace(writer, template, rendered.bytes.clone().into(), stop, batch_file).await {
            Err(Failure { stage: decide::Stage::Changed, .. }) => {}
            ended => return ended.unwrap_or_else(Outcome::Failed),
        }
    }
    replace(writer, template, rendered, stop, batch_file).await.unwrap_or_else(Outcome::Failed)
}

/// Runs a template's check and replaces nothing: [`Outcome::WouldReplace`] if the check accepts its file. `files` are
/// that file and the others that the check reads, each with its template. The check also runs if the destination
/// already has these bytes, because it may reject now what it once accepted.
pub async fn probe(
    writer: &Writer,
    template: &TemplateConfig,
    files: Vec<(Arc<TemplateConfig>, Rendered)>,
    stop: &CancellationToken,
) -> Outcome {
    let probed = async {
        let (mut staged, mut unit) = (Vec::new(), Vec::new());
        for (template, rendered) in files {
            let file = stage_for_check(writer, &template, rendered.bytes.clone(), stop, NextStep::CheckOnly).await?;
            let Some(file) = file else { return Ok(Outcome::Unchanged) };
            unit.push(UnitFile { template: TemplateConfig::clone(&template), rendered, path: file.path() });
            staged.push(file);
        }
        let view = UnitView::new(writer, unit).await.map_err(|(_, failure)| failure)?;
        let checked = check(template, &view.paths, stop).await;
        drop((view, staged));
        // They are removed before the answer.
        writer.call(|_| ()).await.map_err(|setback| write_failure(&setback))?;
        Ok(if checked? { Outcome::WouldReplace } else { Outcome::Abandoned })
    };
    probed.await.unwrap_or_else(Outcome::Failed)
}

/// Stages bytes for their check; `None` if the destination already has them.
async fn stage_for_check(
    writer: &Writer,
    template: &TemplateConfig,
    bytes: Vec<u8>,
    stop: &CancellationToken,
    next: fn(Sender<Result<Option<Staged>, Setback>>) -> NextStep,
) -> Result<Option<Handle<Staged>>, Failure> {
    let stage = |answer| stage(template, bytes, stop, next(answer));
    let staged = writer.ask(stage).await.flatten().map_err(|setback| write_failure(&setback))?;
    Ok(staged.map(|staged| Handle::new(writer, staged)))
}

async fn replace(
    writer: &Writer,
    template: &TemplateConfig,
    rendered: Rendered,
    stop: &CancellationToken,
    batch_file: &mut Option<BatchFile>,
) -> Result<Outcome, Failure> {
    if stop.is_cancelled() {
        return Ok(Outcome::Abandoned);
    }
    if template.check.is_none() && !batch_file.as_ref().is_some_and(BatchFile::is_all_or_nothing) {
        return match batch_file.take() {
            Some(batch_file) => batch_file.rendered(template, rendered.bytes).await,
            None => place(writer, template, rendered.bytes, stop).await,
        };
    }
    let staged = stage_for_check(writer, template, rendered.bytes.clone(), stop, NextStep::Check).await?;
    let checked = if let Some(batch_file) = batch_file.as_ref().filter(|it| it.is_checked_with_unit()) {
        check_in_unit(template, rendered, staged.as_ref(), stop, batch_file).await
    } else if let Some(staged) = &staged {
        check(template, &UnitPaths::from([(Arc::clone(&template.name), staged.path())]), stop).await
    } else {
        Ok(true)
    };
    let Some(staged) = staged else {
        return checked.map(|passed| if passed { Outcome::Unchanged } else { Outcome::Abandoned });
    };
    match checked {
        Ok(true) => match batch_file.take() {
            Some(batch_file) => batch_file.staged(staged).await,
            None => staged.commit(stop).await,
        },
        Ok(false) => staged.discard().await.map(|()| Outcome::Abandoned),
        // The check's message matters more than that of a failed clean-up, which is in the log.
        Err(failure) => staged.discard().await.and(Err(failure)),
    }
}

/// Runs a template's check once all new files of its unit are there. A file that stays as it is, is checked if its
/// check reads other files of the unit and one of them changes.
async fn check_in_unit(
    template: &TemplateConfig,
    rendered: Rendered,
    staged: Option<&Handle<Staged>>,
    stop: &CancellationToken,
    batch_file: &BatchFile,
) -> Result<bool, Failure> {
    let is_due = staged.is_some() || rendered.copy.is_some() || template.check_names_staged();
    let path = staged.map_or_else(|| template.dest.clone(), Handle::path);
    let file = UnitFile { template: template.clone(), rendered, path };
    match batch_file.meet(file, staged.is_some()).await {
        Ok(Some(view)) if is_due => check(template, &view.paths, stop).await,
        Ok(_) => Ok(true),
        Err(_) if stop.is_cancelled() => Ok(false),
        Err(failure) => Err(failure),
    }
}

fn stage(template: &TemplateConfig, bytes: Vec<u8>, stop: &CancellationToken, next: NextStep) -> Job {
    Job::Stage(Box::new(StageJob { template: template.clone(), bytes, stop: stop.clone(), next }))
}

/// Stages and commits one file that has no check.
async fn place(
    writer: &Writer,
    template: &TemplateConfig,
    bytes: Vec<u8>,
    stop: &CancellationToken,
) -> Result<Outcome, Failure> {
    let stage = |answer| stage(template, bytes, stop, NextStep::Commit(answer));
    writer.ask(stage).await.map_err(|setback| write_failure(&setback))?
}

/// A destination compared with what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Whether [`publish`] would replace it.
    pub differs: bool,
    /// Its current bytes; `None` if there is no file.
    pub old: Option<Vec<u8>>,
    /// All the bytes it would get.
    pub new: Vec<u8>,
    /// How mode or owner differ, if they do: "mode 0600 becomes 0644".
    pub attributes: Option<String>,
}

/// Compares without writing, for dry runs and diffs. No check command runs.
///
/// # Errors
/// If `publish` would refuse the destination or fail at it.
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

/// The bytes that a template's first publication replaces, or those in its block, to be kept in the history, with the
/// mode and owner of their file. `None` if there are none, or if they cannot be read or are more than [`MAX_KEPT`]. Also
/// `None` if the new file has other owners or a wider mode than the old one: a rollback would show the old bytes to users
/// who could not read them.
pub async fn previous_content(writer: &Writer, template: &TemplateConfig) -> Option<(Arc<[u8]>, ModeAndOwner)> {
    let template = template.clone();
    let read = move |state: &mut FileState| {
        let mut old = Place::find(&template, &mut state.directories).ok()??.existing().ok()??;
        let is_small = u64::try_from(old.stat.st_size).is_ok_and(|size| size <= MAX_KEPT);
        if !is_small || Permissions::new(&template, Some(&old)).opens(old.mode_and_owner()) {
            return None;
        }
        let bytes = old.read(&template.dest).ok()?;
        let content = match &template.placing.block {
            Some(block) => block::content(&bytes, block)?.into(),
            None => bytes.into(),
        };
        Some((content, old.mode_and_owner()))
    };
    writer.call(read).await.ok()?
}

/// Refuses to put a content back if users may read the template's file who could not read the one that it is from, which
/// `had` this mode and owner.
///
/// # Errors
/// The refusal. Also if the current file cannot be looked at.
pub async fn may_put_back(writer: &Writer, template: &TemplateConfig, had: ModeAndOwner) -> Result<(), Setback> {
    let template = template.clone();
    let look = move |state: &mut FileState| {
        let place = Place::find(&template, &mut state.directories)?;
        let old = place.as_ref().map(Place::existing).transpose()?.flatten();
        if !Permissions::new(&template, old.as_ref()).opens(had) {
            return Ok(());
        }
        let [mode, owner, group] = [had.mode, had.owner, had.group].map(Option::unwrap_or_default);
        let tried = format!("put the old content back in {}", template.dest.display());
        let why = "users may read the file now who could not read it before rosterd wrote it";
        let hint =
            format!("set mode = \"{mode:04o}\", owner = {owner} and group = {group} on the template, and send HUP");
        Err(Setback::new(tried, why).hint(hint))
    };
    writer.call(look).await.flatten()
}

/// Returns the templates whose destinations changed since the agent wrote them, with a description, and those that
/// changed back (`None`). A destination that the agent never wrote is not among them. `begins` is called before the
/// comparison: later changes belong to the next call.
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
    // If the job panicked, the next call reports the changes.
    look.await.unwrap_or_default()
}

/// Runs the template's check on its staged file. Returns `false` if `stop` ended the check.
///
/// # Errors
/// The check refuses the file, or cannot be run.
pub async fn check(template: &TemplateConfig, paths: &UnitPaths, stop: &CancellationToken) -> Result<bool, Failure> {
    let Some(check) = &template.check else { return Ok(true) };
    let path = |name: &str| paths.get(name).and_then(|path| path.to_str());
    let failed = |message: String| Failure::new(decide::Stage::Check, message);
    let refused = |message: String| Failure::new(decide::Stage::Refused, message);
    let (Some(src), Some(dest)) = (path(&template.name), template.dest.to_str()) else {
        let setback = Setback::new(format!("check {}", template.dest.display()), "its path is not UTF-8");
        return Err(failed(setback.hint("use another dest").to_string()));
    };
    let value = |placeholder: Placeholder<'_>| match placeholder {
        Placeholder::Src => Some(src.to_owned()),
        Placeholder::Dest => Some(dest.to_owned()),
        Placeholder::Staged(name) => path(name).map(ToOwned::to_owned),
    };
    let command = check.fill(&value);
    let variables = Variables { template: &template.name, src, dest, changed: dest };
    let environment = environment(&template.env, &variables);
    let (title, started) = (Title { what: "check", command: check }, Instant::now());
    let end = command::run(title, &command, &environment, template.check_timeout, stop).await;
    // The names of staged files mean nothing to a person, and differ each time.
    let describe = || {
        paths.iter().fold(end.describe("check", check), |text, (name, path)| {
            let shown = if *name == template.name { dest } else { &**name };
            without_staged_name(&text, path, shown)
        })
    };
    let checked = match end.termination {
        Termination::Exited(0) => Ok(true),
        Termination::Abandoned => Ok(false),
        // A shell exits with 126 or 127 if it could not run the program.
        Termination::Exited(code) if code != 126 && code != 127 => Err(refused(describe())),
        // A check that crashes on a file rejects it.
        Termination::Signalled(signal) if CRASH_SIGNALS.contains(&signal) => Err(refused(describe())),
        _ => Err(failed(describe())),
    };
    let outcome = match &checked {
        Ok(true) => "passed",
        Ok(false) => return checked,
        Err(failure) if failure.stage == decide::Stage::Refused => "rejected",
        Err(_) => "failed",
    };
    let (name, dest) = (Arc::clone(&template.name), template.dest.clone());
    emit(Event::CheckFinished { template: name, dest, outcome, took_us: microseconds(started.elapsed()) });
    checked
}

/// A text in which a staged file has the name of its destination, with or without the directory.
fn without_staged_name(text: &str, staged: &Path, shown: &str) -> String {
    let (Some(path), Some(name)) = (staged.to_str(), staged.file_name().and_then(OsStr::to_str)) else {
        return text.to_owned();
    };
    if !leftovers::is_staged_name(name) {
        return text.to_owned();
    }
    let short = Path::new(shown).file_name().and_then(OsStr::to_str).unwrap_or(shown);
    text.replace(path, shown).replace(name, short)
}
