//! Commits files together so that they share their syncs.
//!
//! Each file takes the steps in the order that makes it safe (write, set owner, sync, check, rename, sync the
//! directory), and a failure of one file concerns only that file. But each step is taken for all files before the next
//! one: all are written before the first is synced, so that the file system can commit them at once, and a directory is
//! synced once, after the last rename in it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use nix::libc::{dev_t, ino_t};
use tokio::sync::oneshot::Sender;
use tokio_util::sync::CancellationToken;

use crate::decide;
use crate::decide::{Failure, Outcome};
use crate::error::Setback;

use super::answer::{Pending, Rejected, unit_failure, withdraw, write_failure};
use super::commit::{
    Replacement, finish_sync, journal_entry, journal_error, replace as replace_file, replace_revertibly, revert,
    sync_directory, sync_directory_of, verify,
};
use super::file_state::FileState;
use super::removal::{Removal, set_aside};
use super::stage::Staged;
use super::staging::{IfUnchanged, NextStep, StageJob, prepare, write};
use crate::error::os::os_error;
use crate::state::journal::blocked::failed_again;
use crate::state::journal::{Blocked, Entry, Journal, Overwrite, Owner};

/// A staged and checked file that is to be put in place.
pub struct Commit {
    /// The file.
    pub staged: Staged,
    /// It is not put in place if this is cancelled.
    pub stop: CancellationToken,
    /// Where the outcome is sent.
    pub answer: Sender<Result<Outcome, Failure>>,
}

/// Files that are committed together.
#[derive(Default)]
pub struct BatchCommit {
    /// All files are of this unit and already staged: either all are put in place or none.
    pub unit: Option<Arc<str>>,
    /// Files to stage first.
    pub stages: Vec<StageJob>,
    /// Staged files.
    pub commits: Vec<Commit>,
    /// Files that are removed together with them.
    pub removals: Vec<Removal>,
    /// What to record with them if this is a rollback.
    pub rollback: Rollback,
}

/// What to record about files that are rolled back together.
#[derive(Default)]
pub struct Rollback {
    /// Versions that are not written again.
    pub blocked: Vec<Blocked>,
    /// Files of the same unit that stay as they are.
    pub unchanged: Vec<Entry>,
}

// If no caller waits for an answer, the staged file in it is dropped here, on the file thread, which removes the file.

impl BatchCommit {
    /// Takes every file as far as possible. Each answer is sent as soon as it is known.
    pub fn run(self, state: &mut FileState) {
        let Self { unit, stages, mut commits, removals, rollback } = self;
        let mut written = Vec::with_capacity(stages.len());
        for StageJob { template, bytes, stop, next } in stages {
            let staged = match &next {
                NextStep::CheckOnly(_) => catch_panic(|| write(&template, bytes, state, IfUnchanged::Write)),
                NextStep::Check(_) | NextStep::Commit(_) => catch_panic(|| prepare(&template, bytes, state)),
            };
            match staged {
                Some(Ok(Some(file))) => written.push((file, stop, next)),
                Some(Ok(None)) => next.unchanged(),
                Some(Err(setback)) => next.failed(setback),
                None => {}
            }
        }
        if written.len() > 1 {
            for (file, ..) in &written {
                file.begin_sync();
            }
        }
        for (file, stop, next) in written {
            match (catch_panic(|| file.sync()), next) {
                (Some(Ok(staged)), NextStep::Commit(answer)) => commits.push(Commit { staged, stop, answer }),
                (Some(Ok(staged)), NextStep::Check(answer) | NextStep::CheckOnly(answer)) => {
                    _ = answer.send(Ok(Some(staged)));
                }
                (Some(Err(setback)), next) => next.failed(setback),
                (None, _) => {}
            }
        }
        commit(commits, unit.as_deref(), (removals, rollback), state);
    }
}

/// Puts staged files in place.
fn commit(
    commits: Vec<Commit>,
    unit: Option<&str>,
    (removals, rollback): (Vec<Removal>, Rollback),
    state: &mut FileState,
) {
    let (ready, mut rejected) = verify_all(commits, state);
    let mut ready = without_failed_again(ready, &mut rejected, state);
    ready = with_synced_names(ready, unit, &mut rejected);
    reject_unit(unit, &mut ready, &mut rejected);
    // The journal must be on disk before the first rename: which file replaces which, and whose reload will be pending.
    let gone = removals.iter().map(|removal| removal.entry.clone());
    let entries = gone.chain(rollback.unchanged).collect();
    let ready = record(ready, unit, (entries, rollback.blocked), &mut rejected, state);
    let (ready, aside) = set_aside(removals, ready, unit, &mut rejected, state);
    let placed = replace(ready, unit, &mut rejected, state);
    for removal in aside {
        removal.finish(rejected.first().map(|(.., why)| why), state);
    }
    rejected.into_iter().for_each(reject);
    // Before an answer is sent: a reload that begins then includes these files.
    state.mark_placed();
    for placed in placed.into_values() {
        let synced = catch_panic(|| sync_directory_of(placed.iter().map(|(staged, _)| &staged.place)));
        for (staged, answer) in placed {
            let Some(synced) = synced else { continue };
            let settled = finish_sync(&staged.place, synced, state).map(|()| Outcome::Replaced);
            // The file that was exchanged for it is removed before the answer.
            drop(staged);
            let _ = answer.send(settled.map_err(|setback| write_failure(&setback)));
        }
    }
    state.mark_durable();
}

/// Splits off the files that were changed since they were staged.
fn verify_all(commits: Vec<Commit>, state: &FileState) -> (Vec<Pending>, Vec<Rejected>) {
    let (mut ready, mut rejected) = (Vec::with_capacity(commits.len()), Vec::new());
    for Commit { staged, stop, answer } in commits {
        if stop.is_cancelled() {
            drop(staged);
            let _ = answer.send(Ok(Outcome::Abandoned));
            continue;
        }
        match catch_panic(|| verify(&staged, state)) {
            Some(Ok(())) => ready.push((staged, answer)),
            Some(Err(failure)) => rejected.push((staged, answer, failure)),
            None => {}
        }
    }
    (ready, rejected)
}

/// Rejects the files that would restore a version whose reload has failed.
fn without_failed_again(ready: Vec<Pending>, rejected: &mut Vec<Rejected>, state: &FileState) -> Vec<Pending> {
    let Some(journal) = state.journal.as_ref().filter(|journal| !journal.blocked().is_empty()) else { return ready };
    let goes_back = |staged: &Staged| staged.owner().is_some_and(|owner| owner.saves_copy);
    let wanted = ready.iter().filter(|(staged, _)| goes_back(staged));
    let wanted = wanted.filter_map(|(staged, _)| Some((staged.place.dest.clone(), staged.digest().ok()?)));
    let again = failed_again(&wanted.collect(), journal.blocked());
    let mut fresh = Vec::with_capacity(ready.len());
    for (staged, answer) in ready {
        match again.get(&staged.place.dest).cloned() {
            Some(message) => rejected.push((staged, answer, Failure::new(decide::Stage::Rollback, message))),
            None => fresh.push((staged, answer)),
        }
    }
    fresh
}

/// Syncs the directories of staged files that recovery may need after a power cut: those of a unit, and those that a
/// destination is overwritten with. The same sync makes backups durable.
fn with_synced_names(ready: Vec<Pending>, unit: Option<&str>, rejected: &mut Vec<Rejected>) -> Vec<Pending> {
    let (mut synced, mut named) = (BTreeMap::new(), Vec::with_capacity(ready.len()));
    for (staged, answer) in ready {
        let is_finished_with_it = unit.is_some() || staged.in_place.is_some();
        let directory = staged.path().parent().map(Path::to_owned).filter(|_| is_finished_with_it || staged.backup > 0);
        let last = directory.as_ref().map_or(Ok(()), |directory| {
            *synced.entry(directory.clone()).or_insert_with(|| sync_directory(staged.directory()))
        });
        match last {
            Ok(()) => named.push((staged, answer)),
            Err(errno) => {
                let setback = os_error(format!("sync the directory of {}", staged.path().display()), errno);
                rejected.push((staged, answer, write_failure(&setback)));
            }
        }
    }
    named
}

/// In a unit, one rejected file rejects all.
fn reject_unit(unit: Option<&str>, ready: &mut Vec<Pending>, rejected: &mut Vec<Rejected>) {
    if let (Some(unit), Some((staged, _, why))) = (unit, rejected.first()) {
        let why = unit_failure(unit, &format!("{} cannot be replaced: {}", staged.place.dest.display(), why.message));
        rejected.extend(ready.drain(..).map(|(staged, answer)| (staged, answer, why.clone())));
    }
}

/// Records the files in the journal, if they need that, and returns those that may be replaced.
fn record(
    ready: Vec<Pending>,
    unit: Option<&str>,
    (mut entries, blocked): (Vec<Entry>, Vec<Blocked>),
    rejected: &mut Vec<Rejected>,
    state: &mut FileState,
) -> Vec<Pending> {
    let Some(journal) = &mut state.journal else { return ready };
    journal.begin_batch();
    let (mut passed, mut journaled_files) = (Vec::with_capacity(ready.len()), Vec::new());
    for (staged, answer) in ready {
        match catch_panic(|| entry(&staged, journal)) {
            Some(Ok(None)) => passed.push((staged, answer)),
            Some(Ok(Some(entry))) => {
                entries.push(entry);
                journaled_files.push((staged, answer));
            }
            Some(Err(setback)) => rejected.push((staged, answer, write_failure(&setback))),
            None => {}
        }
    }
    // All files of a unit are recorded or none.
    reject_unit(unit, &mut journaled_files, rejected);
    if unit.is_some() && !rejected.is_empty() {
        return passed;
    }
    match journal.record_rollback(entries, blocked) {
        Ok(()) => passed.extend(journaled_files),
        Err(error) => {
            let setback = journal_error(journal, error);
            rejected
                .extend(journaled_files.into_iter().map(|(staged, answer)| (staged, answer, write_failure(&setback))));
        }
    }
    passed
}

/// Renames the files into place and returns them by directory. In a unit, one failure restores those that were already
/// replaced.
fn replace(
    ready: Vec<Pending>,
    unit: Option<&str>,
    rejected: &mut Vec<Rejected>,
    state: &mut FileState,
) -> BTreeMap<(dev_t, ino_t), Vec<Pending>> {
    let mut directories: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let (atomic, overwritten): (Vec<_>, Vec<_>) = ready.into_iter().partition(|(staged, _)| staged.in_place.is_none());
    // Overwritten files cannot be restored atomically, so they come last.
    let mut ready = atomic.into_iter().chain(overwritten);
    while let Some((mut staged, answer)) = ready.next() {
        let swapped = catch_panic(|| {
            if unit.is_some() { replace_revertibly(&mut staged, state) } else { replace_file(&mut staged, state) }
        });
        match (swapped, unit) {
            (Some(Ok(())), _) => directories.entry(staged.place.id).or_default().push((staged, answer)),
            (Some(Err(failure)), None) => {
                withdraw(&mut staged, state);
                rejected.push((staged, answer, failure));
            }
            (Some(Err(failure)), Some(unit)) => {
                let why = unit_failure(unit, &failure.message);
                let placed: Vec<Pending> = std::mem::take(&mut directories).into_values().flatten().collect();
                let back = placed.into_iter().map(|(staged, answer)| (revert(staged, state), answer));
                let mut others: Vec<Pending> = back.collect();
                others.extend(ready.by_ref());
                let all = others.iter_mut().map(|(staged, _)| staged).chain([&mut staged]);
                all.for_each(|staged| withdraw(staged, state));
                rejected.extend(others.into_iter().map(|(staged, answer)| (staged, answer, why.clone())));
                rejected.push((staged, answer, failure));
            }
            (None, _) => {}
        }
    }
    // Only now, because a file that was restored supersedes nothing.
    directories.values().flatten().for_each(|(staged, _)| supersede(staged, state));
    directories
}

/// The journal entry of a file that is about to be replaced; `None` if it needs none.
fn entry(staged: &Staged, journal: &Journal) -> Result<Option<Entry>, Setback> {
    let place = &staged.place;
    let is_recorded = |owner: &&Owner| owner.is_recorded() || journal.contains(&owner.key(&place.dest));
    let overwrite = staged.in_place.map(|configured| Overwrite { staged: staged.path(), configured });
    let Some(owner) = staged.owner().filter(|owner| overwrite.is_some() || is_recorded(owner)) else { return Ok(None) };
    let beside = staged.name().filter(|_| overwrite.is_none()).map(|name| name.to_string_lossy().into());
    let waits = Replacement { new: Some(staged.digest()?), staged: beside, overwrite };
    journal_entry(owner, place, place.existing()?, waits, journal).map(Some)
}

/// Drops what was unfinished for this file.
fn supersede(staged: &Staged, state: &mut FileState) {
    if let Some(owner) = staged.owner() {
        state.supersede(&owner.key(&staged.place.dest));
    }
}

fn reject((staged, answer, failure): Rejected) {
    // The staged file is removed before the answer, so that the caller finds nothing left behind.
    drop(staged);
    let _ = answer.send(Err(failure));
}

/// Runs a step of one job. A panic in the step must not end the thread for all other templates. The caller of the job
/// notices that its answer is missing.
pub fn catch_panic<T>(step: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(step)).ok()
}
