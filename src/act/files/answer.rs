//! Who waits for what becomes of a file, and what is answered where it is not replaced.

use tokio::sync::oneshot::Sender;

use crate::decide::{Failure, Outcome, Stage};

use super::file_state::FileState;
use super::place::on_disk;
use super::stage::Staged;
use crate::state::journal::Unfinished;

/// Who waits for what becomes of a file.
pub type Answer = Sender<Result<Outcome, Failure>>;

/// A file, and who waits for it.
pub type Pending = (Staged, Answer);

/// One that is not placed, and why.
pub type Rejected = (Staged, Answer, Failure);

/// Of a unit whose other file failed.
pub fn unit_failure(unit: &str, why: &str) -> Failure {
    Failure { stage: Stage::Unit, message: format!("unit {unit}: {why}") }
}

/// A file that could not be replaced is as it was. Of one that was being overwritten a part may be new: what it is
/// overwritten with is kept until all of it is, by this agent or the next.
pub fn withdraw(staged: &mut Staged, state: &mut FileState) {
    let Some(key) = staged.owner().map(|owner| owner.key(&staged.place.dest)) else { return };
    let Some(entry) = state.journal.as_ref().and_then(|journal| journal.entry(&key)).cloned() else { return };
    let seen = on_disk(&entry, &mut state.directories);
    let is_begun = staged.in_place.is_some() && !seen.is(entry.old);
    if is_begun {
        state.supersede(&key);
        // Nor is what it is now somebody else's change.
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
