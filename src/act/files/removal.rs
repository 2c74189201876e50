//! A file that goes because it was not there before: first it is set aside, so that it can come back where another one of
//! those that go back with it cannot.

use std::ffi::OsString;

use nix::fcntl::renameat;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::decide::{Event, Failure, Outcome, Stage};
use crate::error::Setback;
use crate::log::emit;
use crate::model::digest::digest;

use super::answer::{Answer, Refused, Waiting, kept_back, withdraw};
use super::commit::sync_names;
use super::errors::{refused, unwritten};
use super::file_state::FileState;
use super::leftovers::END;
use super::place::Place;
use crate::state::journal::Entry;

/// A file that is to go.
pub struct Removal {
    /// As it is noted.
    pub entry: Entry,
    /// Where it is.
    pub place: Place,
    /// Who waits for its end.
    pub answer: Answer,
}

/// One that has another name by now.
pub struct Aside {
    removal: Removal,
    name: OsString,
}

/// Sets files aside, those and the ones that go their way with them all or none. Nothing is, where one of them was refused,
/// or they are not noted.
pub fn set_aside(
    removals: Vec<Removal>,
    mut sound: Vec<Waiting>,
    unit: Option<&str>,
    refused: &mut Vec<Refused>,
    desk: &mut FileState,
) -> (Vec<Waiting>, Vec<Aside>) {
    let mut aside = Vec::new();
    let mut why = refused.first().map(|(.., why)| why.clone());
    for removal in removals {
        match why.as_ref().map_or_else(|| removal.set_aside(desk), |why| Err(why.clone())) {
            Ok(name) => aside.push(Aside { removal, name }),
            Err(failure) => {
                why = Some(failure.clone());
                removal.stays(failure, desk);
            }
        }
    }
    let Some(why) = why else { return (sound, aside) };
    for one in aside {
        one.end(Some(&why), desk);
    }
    for (staged, _) in &mut sound {
        withdraw(staged, desk);
    }
    let why = unit.map_or_else(|| why.clone(), |unit| kept_back(unit, &why.message));
    refused.extend(sound.into_iter().map(|(staged, answer)| (staged, answer, why.clone())));
    (Vec::new(), Vec::new())
}

impl Removal {
    fn set_aside(&self, desk: &FileState) -> Result<OsString, Failure> {
        let Place { folder, name, dest, .. } = &self.place;
        if !desk.journal.as_ref().is_some_and(|journal| journal.goes_back(&self.entry.key())) {
            let why = Setback::new(format!("remove {}", dest.display()), "it could not be noted");
            return Err(unwritten(&why));
        }
        let own = digest(std::iter::once(&*dest.to_string_lossy()));
        let aside = OsString::from(format!("{}gone-{own:016x}{END}", desk.tag.prefix()));
        match renameat(folder, name.as_os_str(), folder, aside.as_os_str()) {
            Ok(()) => Ok(aside),
            Err(errno) => Err(unwritten(&refused(format!("remove {}", dest.display()), errno))),
        }
    }

    fn stays(self, failure: Failure, desk: &mut FileState) {
        if let Some(journal) = &mut desk.journal {
            journal.withdraw(&[self.entry.key()]);
        }
        let _ = self.answer.send(Err(failure));
    }
}

impl Aside {
    /// It goes for good, or comes back because of `why`.
    pub fn end(self, why: Option<&Failure>, desk: &mut FileState) {
        let Self { removal, name: aside } = self;
        let Place { folder, name, dest, .. } = &removal.place;
        if let Some(why) = why {
            let back = renameat(folder, aside.as_os_str(), folder, name.as_os_str()).and_then(|()| sync_names(folder));
            if let Err(errno) = back {
                emit(Event::RestoreFailed { dest: dest.clone(), reason: errno.to_string() });
            }
            return removal.stays(why.clone(), desk);
        }
        desk.left.remove(&removal.entry.owner.template);
        // One that stays under its other name is removed at the next start.
        let _ = unlinkat(folder, aside.as_os_str(), UnlinkatFlags::NoRemoveDir);
        let gone = match sync_names(folder) {
            Ok(()) => Ok(Outcome::Removed),
            Err(errno) => {
                let tried = format!("sync the folder of {}, which was removed", dest.display());
                Err(Failure { stage: Stage::Write, message: refused(tried, errno).to_string() })
            }
        };
        let _ = removal.answer.send(gone);
    }
}
