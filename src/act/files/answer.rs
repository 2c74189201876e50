//! Where the outcome of a file is sent, and what is sent if the file is not replaced.

use tokio::sync::oneshot::Sender;

use crate::decide::{Failure, Outcome, Stage};
use crate::error::Setback;

use super::file_state::FileState;
use super::place::on_disk;
use super::stage::Staged;
use crate::state::journal::Unfinished;

/// Where the outcome of a file is sent.
pub type Answer = Sender<Result<Outcome, Failure>>;

/// A staged file, and where its outcome is sent.
pub type Pending = (Staged, Answer);

/// A file that is not replaced, where that is sent, and why.
pub type Rejected = (Staged, Answer, Failure);

/// The failure of a file that is not replaced because of another file of its unit.
pub fn unit_failure(unit: &str, why: &str) -> Failure {
    Failure::new(Stage::Unit, format!("unit {unit}: {why}"))
}

/// A publication that failed at its destination.
pub fn write_failure(setback: &Setback) -> Failure {
    Failure { errno: setback.errno, ..Failure::new(Stage::Write, setback.to_string()) }
}

/// Withdraws the journal entry of a file that could not be replaced. If an overwrite was interrupted, the file may be
/// partly new: then the entry and the staged file stay, so that this agent or the next one can finish it.
pub fn withdraw(staged: &mut Staged, state: &mut FileState) {
    let Some(key) = staged.owner().map(|owner| owner.key(&staged.place.dest)) else { return };
    let Some(entry) = state.journal.as_ref().and_then(|journal| journal.entry(&key)).cloned() else { return };
    let seen = on_disk(&entry, &mut state.directories);
    let is_begun = staged.in_place.is_some() && !seen.is(entry.old);
    if is_begun {
        state.supersede(&key);
        // A partly overwritten file is not another process's change.
        state.last_written.remove(&key.template);
        staged.keep_for_recovery();
    }
    let Some(journal) = &mut state.journal else { return };
    if is_begun {
        journal.unfinished.insert(key, Unfinished { entry, seen });
    } else if seen.is(entry.old) {
        journal.withdraw(&[key]);
    }
}
