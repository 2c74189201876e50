//! Files that are replaced together share their syncs.
//!
//! Each file goes its own way in the order that makes it safe (written, owned, synced, checked, renamed, folder
//! synced), and what fails for one fails for that one only. But the steps of all files are taken side by side: all are
//! written before the first is synced, so that the file system can put them on disk with one commit of its journal,
//! and a folder is synced once, after the last rename in it.

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

use super::answer::{Refused, Waiting, kept_back, withdraw};
use super::commit::{Waits, exchange, noted, settle, swap, sync_folder, sync_names, take_back, unnoted, verify};
use super::errors::{refused as refused_by, unwritten};
use super::file_state::FileState;
use super::removal::{Removal, set_aside};
use super::stage::Staged;
use super::staging::{Equal, Stage, Then, prepare, write};
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
pub struct Round {
    /// They are all of this unit: all are placed, or none. Each is staged already.
    pub unit: Option<Arc<str>>,
    pub stages: Vec<Stage>,
    pub commits: Vec<Commit>,
    /// Files that go together with them.
    pub removals: Vec<Removal>,
    /// What is noted with that, where they go back.
    pub back: Back,
}

/// What is to be known of files that go back together.
#[derive(Default)]
pub struct Back {
    /// What is not to be tried again.
    pub blocked: Vec<Blocked>,
    /// Files of the same unit that stay as they are.
    pub unchanged: Vec<Entry>,
}

// An answer that nobody waits for any more takes a staged file with it, which removes itself: here, on the file thread.

impl Round {
    /// Takes every file as far as it can go. Each answer is given as soon as it is known.
    pub fn run(self, desk: &mut FileState) {
        let Self { unit, stages, mut commits, removals, back } = self;
        let mut written = Vec::with_capacity(stages.len());
        for Stage { template, bytes, stop, then } in stages {
            let staged = match &then {
                Then::Probe(_) => guarded(|| write(&template, bytes, desk, Equal::IsWritten)),
                Then::Hand(_) | Then::Place(_) => guarded(|| prepare(&template, bytes, desk)),
            };
            match staged {
                Some(Ok(Some(file))) => written.push((file, stop, then)),
                Some(Ok(None)) => then.unchanged(),
                Some(Err(setback)) => then.failed(setback),
                None => {}
            }
        }
        if written.len() > 1 {
            for (file, ..) in &written {
                file.begin_sync();
            }
        }
        for (file, stop, then) in written {
            match (guarded(|| file.sync()), then) {
                (Some(Ok(staged)), Then::Place(answer)) => commits.push(Commit { staged, stop, answer }),
                (Some(Ok(staged)), Then::Hand(answer) | Then::Probe(answer)) => _ = answer.send(Ok(Some(staged))),
                (Some(Err(setback)), then) => then.failed(setback),
                (None, _) => {}
            }
        }
        place(commits, unit.as_deref(), (removals, back), desk);
    }
}

/// Puts staged files in place.
fn place(commits: Vec<Commit>, unit: Option<&str>, (removals, back): (Vec<Removal>, Back), desk: &mut FileState) {
    let (sound, mut refused) = verified(commits, desk);
    let mut sound = fresh(sound, &mut refused, desk);
    sound = named(sound, unit, &mut refused);
    keep_back(unit, &mut sound, &mut refused);
    // What must be on disk before the world changes: which file replaces which, and that a reload is owed.
    let gone = removals.iter().map(|removal| removal.entry.clone());
    let entries = gone.chain(back.unchanged).collect();
    let sound = journaled(sound, unit, (entries, back.blocked), &mut refused, desk);
    let (sound, aside) = set_aside(removals, sound, unit, &mut refused, desk);
    let placed = swapped(sound, unit, &mut refused, desk);
    for removal in aside {
        removal.end(refused.first().map(|(.., why)| why), desk);
    }
    refused.into_iter().for_each(failed);
    // Before anybody hears of it: a reload that begins then is for these files too.
    desk.is_placed();
    for placed in placed.into_values() {
        let synced = guarded(|| sync_folder(placed.iter().map(|(staged, _)| &staged.place)));
        for (staged, answer) in placed {
            let Some(synced) = synced else { continue };
            let settled = settle(&staged.place, synced, desk).map(|()| Outcome::Replaced);
            // What was exchanged for it goes before anybody hears of it.
            drop(staged);
            let _ = answer.send(settled.map_err(|setback| unwritten(&setback)));
        }
    }
    desk.is_done();
}

/// Those that are still what they were before their check, and those that are not.
fn verified(commits: Vec<Commit>, desk: &FileState) -> (Vec<Waiting>, Vec<Refused>) {
    let (mut sound, mut refused) = (Vec::with_capacity(commits.len()), Vec::new());
    for Commit { staged, stop, answer } in commits {
        if stop.is_cancelled() {
            drop(staged);
            let _ = answer.send(Ok(Outcome::Abandoned));
            continue;
        }
        match guarded(|| verify(&staged, desk)) {
            Some(Ok(())) => sound.push((staged, answer)),
            Some(Err(failure)) => refused.push((staged, answer, failure)),
            None => {}
        }
    }
    (sound, refused)
}

/// Those that would not make up again what a reload has failed with.
fn fresh(sound: Vec<Waiting>, refused: &mut Vec<Refused>, desk: &FileState) -> Vec<Waiting> {
    let Some(journal) = desk.journal.as_ref().filter(|journal| !journal.blocked().is_empty()) else { return sound };
    let goes_back = |staged: &Staged| staged.owner().is_some_and(|owner| owner.saves);
    let wanted = sound.iter().filter(|(staged, _)| goes_back(staged));
    let wanted = wanted.filter_map(|(staged, _)| Some((staged.place.dest.clone(), staged.digest().ok()?)));
    let again = failed_again(&wanted.collect(), journal.blocked());
    let mut fresh = Vec::with_capacity(sound.len());
    for (staged, answer) in sound {
        match again.get(&staged.place.dest).cloned() {
            Some(message) => refused.push((staged, answer, Failure { stage: decide::Stage::Rollback, message })),
            None => fresh.push((staged, answer)),
        }
    }
    fresh
}

/// Those whose staged files have their names for good, where a power cut in the middle must not take away what the rest is
/// finished with: those of a unit, and those that a destination is overwritten with. The same keeps the file from before.
fn named(sound: Vec<Waiting>, unit: Option<&str>, refused: &mut Vec<Refused>) -> Vec<Waiting> {
    let (mut synced, mut named) = (BTreeMap::new(), Vec::with_capacity(sound.len()));
    for (staged, answer) in sound {
        let is_finished_with_it = unit.is_some() || staged.in_place.is_some();
        let folder = staged.path().parent().map(Path::to_owned).filter(|_| is_finished_with_it || staged.backup > 0);
        let last = folder
            .as_ref()
            .map_or(Ok(()), |folder| *synced.entry(folder.clone()).or_insert_with(|| sync_names(staged.folder())));
        match last {
            Ok(()) => named.push((staged, answer)),
            Err(errno) => {
                let setback = refused_by(format!("sync the folder of {}", staged.path().display()), errno);
                refused.push((staged, answer, unwritten(&setback)));
            }
        }
    }
    named
}

/// Of a unit one that fails keeps all others back.
fn keep_back(unit: Option<&str>, sound: &mut Vec<Waiting>, refused: &mut Vec<Refused>) {
    if let (Some(unit), Some((staged, _, why))) = (unit, refused.first()) {
        let why = kept_back(unit, &format!("{} cannot be replaced: {}", staged.place.dest.display(), why.message));
        refused.extend(sound.drain(..).map(|(staged, answer)| (staged, answer, why.clone())));
    }
}

/// Those that are noted in the journal, or need not be.
fn journaled(
    sound: Vec<Waiting>,
    unit: Option<&str>,
    (mut entries, blocked): (Vec<Entry>, Vec<Blocked>),
    refused: &mut Vec<Refused>,
    desk: &mut FileState,
) -> Vec<Waiting> {
    let Some(journal) = &mut desk.journal else { return sound };
    journal.begin_round();
    let (mut ready, mut noted) = (Vec::with_capacity(sound.len()), Vec::new());
    for (staged, answer) in sound {
        match guarded(|| entry(&staged, journal)) {
            Some(Ok(None)) => ready.push((staged, answer)),
            Some(Ok(Some(entry))) => {
                entries.push(entry);
                noted.push((staged, answer));
            }
            Some(Err(setback)) => refused.push((staged, answer, unwritten(&setback))),
            None => {}
        }
    }
    // All of a unit are noted: nothing of it is, where one cannot be.
    keep_back(unit, &mut noted, refused);
    if unit.is_some() && !refused.is_empty() {
        return ready;
    }
    match journal.note_back(entries, blocked) {
        Ok(()) => ready.extend(noted),
        Err(error) => {
            let setback = unnoted(journal, error);
            refused.extend(noted.into_iter().map(|(staged, answer)| (staged, answer, unwritten(&setback))));
        }
    }
    ready
}

/// Those that are renamed into place, by their folder. Of a unit, what was is taken back where one fails.
fn swapped(
    sound: Vec<Waiting>,
    unit: Option<&str>,
    refused: &mut Vec<Refused>,
    desk: &mut FileState,
) -> BTreeMap<(dev_t, ino_t), Vec<Waiting>> {
    let mut folders: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let (atomic, overwritten): (Vec<_>, Vec<_>) = sound.into_iter().partition(|(staged, _)| staged.in_place.is_none());
    // What cannot be taken back comes last.
    let mut sound = atomic.into_iter().chain(overwritten);
    while let Some((mut staged, answer)) = sound.next() {
        let swapped = guarded(|| if unit.is_some() { exchange(&mut staged, desk) } else { swap(&mut staged, desk) });
        match (swapped, unit) {
            (Some(Ok(())), _) => folders.entry(staged.place.id).or_default().push((staged, answer)),
            (Some(Err(failure)), None) => {
                withdraw(&mut staged, desk);
                refused.push((staged, answer, failure));
            }
            (Some(Err(failure)), Some(unit)) => {
                let why = kept_back(unit, &failure.message);
                let placed: Vec<Waiting> = std::mem::take(&mut folders).into_values().flatten().collect();
                let back = placed.into_iter().map(|(staged, answer)| (take_back(staged, desk), answer));
                let mut others: Vec<Waiting> = back.collect();
                others.extend(sound.by_ref());
                let all = others.iter_mut().map(|(staged, _)| staged).chain([&mut staged]);
                all.for_each(|staged| withdraw(staged, desk));
                refused.extend(others.into_iter().map(|(staged, answer)| (staged, answer, why.clone())));
                refused.push((staged, answer, failure));
            }
            (None, _) => {}
        }
    }
    // Not before: what is taken back is as it was.
    folders.values().flatten().for_each(|(staged, _)| overtake(staged, desk));
    folders
}

/// What is to be noted of a file before it is replaced; `None` when nothing is.
fn entry(staged: &Staged, journal: &Journal) -> Result<Option<Entry>, Setback> {
    let place = &staged.place;
    let is_noted = |owner: &&Owner| owner.is_noted() || journal.has(&owner.key(&place.dest));
    let over = staged.in_place.map(|configured| Overwrite { staged: staged.path(), configured });
    let Some(owner) = staged.owner().filter(|owner| over.is_some() || is_noted(owner)) else { return Ok(None) };
    let beside = staged.name().filter(|_| over.is_none()).map(|name| name.to_string_lossy().into());
    let waits = Waits { new: Some(staged.digest()?), staged: beside, over };
    noted(owner, place, place.look()?, waits, journal).map(Some)
}

/// Nothing is finished any more that was begun before this.
fn overtake(staged: &Staged, desk: &mut FileState) {
    if let Some(owner) = staged.owner() {
        desk.overtake(&owner.key(&staged.place.dest));
    }
}

fn failed((staged, answer, failure): Refused) {
    // First it is removed: whoever hears of the failure finds nothing left behind.
    drop(staged);
    let _ = answer.send(Err(failure));
}

/// Does a step of one job. A fault in it must not take the thread from all other templates: whoever waits for the job
/// sees that its answer is gone.
pub fn guarded<T>(step: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(step)).ok()
}
