//! Files that are replaced together share their syncs.
//!
//! Each file goes its own way in the order that makes it safe (written, owned, synced, checked, renamed, directory
//! synced), and what fails for one fails for that one only. But the steps of all files are taken side by side: all are
//! written before the first is synced, so that the file system can put them on disk with one commit of its journal,
//! and a directory is synced once, after the last rename in it.

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

use super::answer::{Pending, Rejected, unit_failure, withdraw};
use super::commit::{
    Replacement, finish_sync, journal_entry, journal_error, replace as replace_file, replace_revertibly, revert,
    sync_directory, sync_directory_of, verify,
};
use super::errors::{os_error, write_failure};
use super::file_state::FileState;
use super::removal::{Removal, set_aside};
use super::stage::Staged;
use super::staging::{IfUnchanged, NextStep, StageJob, prepare, write};
use crate::state::journal::blocked::failed_again;
use crate::state::journal::{Blocked, Entry, Journal, Overwrite, Owner};

/// A staged and checked file that is to be put in place.
pub struct Commit {
    pub staged: Staged,
    /// Nothing is placed once this is cancelled.
    pub stop: CancellationToken,
    pub answer: Sender<Result<Outcome, Failure>>,
}

/// What is done together.
#[derive(Default)]
pub struct BatchCommit {
    /// They are all of this unit: all are placed, or none. Each is staged already.
    pub unit: Option<Arc<str>>,
    pub stages: Vec<StageJob>,
    pub commits: Vec<Commit>,
    /// Files that go together with them.
    pub removals: Vec<Removal>,
    /// What is noted with that, where they go back.
    pub rollback: Rollback,
}

/// What is to be known of files that go back together.
#[derive(Default)]
pub struct Rollback {
    /// What is not to be tried again.
    pub blocked: Vec<Blocked>,
    /// Files of the same unit that stay as they are.
    pub unchanged: Vec<Entry>,
}

// An answer that nobody waits for any more takes a staged file with it, which removes itself: here, on the file thread.

impl BatchCommit {
    /// Takes every file as far as it can go. Each answer is given as soon as it is known.
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
                    _ = answer.send(Ok(Some(staged)))
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
    // What must be on disk before the world changes: which file replaces which, and that a reload is owed.
    let gone = removals.iter().map(|removal| removal.entry.clone());
    let entries = gone.chain(rollback.unchanged).collect();
    let ready = record(ready, unit, (entries, rollback.blocked), &mut rejected, state);
    let (ready, aside) = set_aside(removals, ready, unit, &mut rejected, state);
    let placed = replace(ready, unit, &mut rejected, state);
    for removal in aside {
        removal.finish(rejected.first().map(|(.., why)| why), state);
    }
    rejected.into_iter().for_each(reject);
    // PreviousFile anybody hears of it: a reload that begins next is for these files too.
    state.mark_placed();
    for placed in placed.into_values() {
        let synced = catch_panic(|| sync_directory_of(placed.iter().map(|(staged, _)| &staged.place)));
        for (staged, answer) in placed {
            let Some(synced) = synced else { continue };
            let settled = finish_sync(&staged.place, synced, state).map(|()| Outcome::Replaced);
            // What was exchanged for it goes before anybody hears of it.
            drop(staged);
            let _ = answer.send(settled.map_err(|setback| write_failure(&setback)));
        }
    }
    state.mark_durable();
}

/// Those that are still what they were before their check, and those that are not.
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

/// Those that would not make up again what a reload has failed with.
fn without_failed_again(ready: Vec<Pending>, rejected: &mut Vec<Rejected>, state: &FileState) -> Vec<Pending> {
    let Some(journal) = state.journal.as_ref().filter(|journal| !journal.blocked().is_empty()) else { return ready };
    let goes_back = |staged: &Staged| staged.owner().is_some_and(|owner| owner.saves);
    let wanted = ready.iter().filter(|(staged, _)| goes_back(staged));
    let wanted = wanted.filter_map(|(staged, _)| Some((staged.place.dest.clone(), staged.digest().ok()?)));
    let again = failed_again(&wanted.collect(), journal.blocked());
    let mut fresh = Vec::with_capacity(ready.len());
    for (staged, answer) in ready {
        match again.get(&staged.place.dest).cloned() {
            Some(message) => rejected.push((staged, answer, Failure { stage: decide::Stage::Rollback, message })),
            None => fresh.push((staged, answer)),
        }
    }
    fresh
}

/// Those whose staged files have their names for good, where a power cut in the middle must not take away what the rest is
/// finished with: those of a unit, and those that a destination is overwritten with. The same keeps the file from before.
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

/// Of a unit one that fails keeps all others back.
fn reject_unit(unit: Option<&str>, ready: &mut Vec<Pending>, rejected: &mut Vec<Rejected>) {
    if let (Some(unit), Some((staged, _, why))) = (unit, rejected.first()) {
        let why = unit_failure(unit, &format!("{} cannot be replaced: {}", staged.place.dest.display(), why.message));
        rejected.extend(ready.drain(..).map(|(staged, answer)| (staged, answer, why.clone())));
    }
}

/// Those that are noted in the journal, or need not be.
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
    // All of a unit are noted: nothing of it is, where one cannot be.
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

/// Those that are renamed into place, by their directory. Of a unit, what was is taken back where one fails.
fn replace(
    ready: Vec<Pending>,
    unit: Option<&str>,
    rejected: &mut Vec<Rejected>,
    state: &mut FileState,
) -> BTreeMap<(dev_t, ino_t), Vec<Pending>> {
    let mut directories: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let (atomic, overwritten): (Vec<_>, Vec<_>) = ready.into_iter().partition(|(staged, _)| staged.in_place.is_none());
    // What cannot be taken back comes last.
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
    // Not before: what is taken back is as it was.
    directories.values().flatten().for_each(|(staged, _)| supersede(staged, state));
    directories
}

/// What is to be noted of a file before it is replaced; `None` when nothing is.
fn entry(staged: &Staged, journal: &Journal) -> Result<Option<Entry>, Setback> {
    let place = &staged.place;
    let is_recorded = |owner: &&Owner| owner.is_recorded() || journal.contains(&owner.key(&place.dest));
    let over = staged.in_place.map(|configured| Overwrite { staged: staged.path(), configured });
    let Some(owner) = staged.owner().filter(|owner| over.is_some() || is_recorded(owner)) else { return Ok(None) };
    let beside = staged.name().filter(|_| over.is_none()).map(|name| name.to_string_lossy().into());
    let waits = Replacement { new: Some(staged.digest()?), staged: beside, over };
    journal_entry(owner, place, place.existing()?, waits, journal).map(Some)
}

/// Nothing is finished any more that was begun before this.
fn supersede(staged: &Staged, state: &mut FileState) {
    if let Some(owner) = staged.owner() {
        state.supersede(&owner.key(&staged.place.dest));
    }
}

fn reject((staged, answer, failure): Rejected) {
    // First it is removed: whoever hears of the failure finds nothing left behind.
    drop(staged);
    let _ = answer.send(Err(failure));
}

/// Does a step of one job. A fault in it must not take the thread from all other templates: whoever waits for the job
/// sees that its answer is gone.
pub fn catch_panic<T>(step: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(step)).ok()
}
