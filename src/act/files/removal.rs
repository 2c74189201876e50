//! Removes a file that did not exist before the version that is rolled back. It is renamed first, so that it can return
//! if another file of the rollback fails.

use std::ffi::OsString;

use nix::fcntl::renameat;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::decide::{Event, Failure, Outcome};
use crate::error::Setback;
use crate::log::emit;
use crate::model::digest::digest;

use super::answer::{Answer, Pending, Rejected, unit_failure, withdraw, write_failure};
use super::commit::sync_directory;
use super::file_state::FileState;
use super::leftovers::SUFFIX;
use super::place::Place;
use crate::error::os::os_error;
use crate::state::journal::Entry;

/// A file to remove.
pub struct Removal {
    /// Its journal entry.
    pub entry: Entry,
    /// Where it is.
    pub place: Place,
    /// Where the outcome is sent.
    pub answer: Answer,
}

/// A file that was renamed to be removed.
pub struct SetAside {
    removal: Removal,
    name: OsString,
}

/// Renames the files that are to be removed. If one fails, was rejected, or is not recorded, nothing is removed or
/// replaced.
pub fn set_aside(
    removals: Vec<Removal>,
    mut ready: Vec<Pending>,
    unit: Option<&str>,
    rejected: &mut Vec<Rejected>,
    state: &mut FileState,
) -> (Vec<Pending>, Vec<SetAside>) {
    let mut aside = Vec::new();
    if removals.is_empty() && unit.is_none() {
        // Files that only share their syncs have nothing to do with each other.
        return (ready, aside);
    }
    let mut why = rejected.first().map(|(.., why)| why.clone());
    for removal in removals {
        match why.as_ref().map_or_else(|| removal.set_aside(state), |why| Err(why.clone())) {
            Ok(name) => aside.push(SetAside { removal, name }),
            Err(failure) => {
                why = Some(failure.clone());
                removal.cancel(failure, state);
            }
        }
    }
    let Some(why) = why else { return (ready, aside) };
    for one in aside {
        one.finish(Some(&why), state);
    }
    for (staged, _) in &mut ready {
        withdraw(staged, state);
    }
    let why = unit.map_or_else(|| why.clone(), |unit| unit_failure(unit, &why.message));
    rejected.extend(ready.into_iter().map(|(staged, answer)| (staged, answer, why.clone())));
    (Vec::new(), Vec::new())
}

impl Removal {
    fn set_aside(&self, state: &FileState) -> Result<OsString, Failure> {
        let Place { directory, name, dest, .. } = &self.place;
        if !state.journal.as_ref().is_some_and(|journal| journal.is_rollback(&self.entry.key())) {
            let why = Setback::new(format!("remove {}", dest.display()), "it could not be recorded in the journal");
            return Err(write_failure(&why));
        }
        let own = digest(std::iter::once(&*dest.to_string_lossy()));
        let aside = OsString::from(format!("{}gone-{own:016x}{SUFFIX}", state.tag.prefix()));
        match renameat(directory, name.as_os_str(), directory, aside.as_os_str()) {
            Ok(()) => Ok(aside),
            Err(errno) => Err(write_failure(&os_error(format!("remove {}", dest.display()), errno))),
        }
    }

    fn cancel(self, failure: Failure, state: &mut FileState) {
        if let Some(journal) = &mut state.journal {
            journal.withdraw(&[self.entry.key()]);
        }
        let _ = self.answer.send(Err(failure));
    }
}

impl SetAside {
    /// Removes the file for good, or renames it back because of `why`.
    pub fn finish(self, why: Option<&Failure>, state: &mut FileState) {
        let Self { removal, name: aside } = self;
        let Place { directory, name, dest, .. } = &removal.place;
        if let Some(why) = why {
            let back = renameat(directory, aside.as_os_str(), directory, name.as_os_str())
                .and_then(|()| sync_directory(directory));
            if let Err(errno) = back {
                emit(Event::RestoreFailed { dest: dest.clone(), reason: errno.to_string() });
            }
            return removal.cancel(why.clone(), state);
        }
        state.last_written.remove(&removal.entry.owner.template);
        // If this fails, the next start removes it.
        let _ = unlinkat(directory, aside.as_os_str(), UnlinkatFlags::NoRemoveDir);
        let gone = match sync_directory(directory) {
            Ok(()) => Ok(Outcome::Removed),
            Err(errno) => {
                let tried = format!("sync the directory of {}, which was removed", dest.display());
                Err(write_failure(&os_error(tried, errno)))
            }
        };
        let _ = removal.answer.send(gone);
    }
}
