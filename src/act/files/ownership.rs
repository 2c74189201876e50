//! Which agent writes a file: it leaves its state directory in an attribute of the file, so that another agent does not
//! take the file from it while it runs.
//!
//! A file system without such attributes knows nothing of that.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::Setback;

use super::attributes::{self, OWNER};
use super::errors::os_error;
use super::leftovers::Tag;
use super::place::{ExistingFile, Place};
use crate::state::lock;

/// Expected this agent's mark in a file that is to take a place.
pub fn mark(file: &File, place: &Place, tag: &Tag) -> Result<(), Setback> {
    let Some(state_dir) = tag.state_dir() else { return Ok(()) };
    let value = [state_dir.as_os_str().as_bytes(), &suffix(place)].concat();
    match attributes::set(file, OWNER.as_ref(), &value) {
        Err(error) if !attributes::is_unsupported(&error) => {
            Err(os_error(format!("mark the new {} as this agent's", place.dest.display()), error))
        }
        _ => Ok(()),
    }
}

/// Refuses a file with the mark of another agent that runs.
pub fn check(old: &ExistingFile, place: &Place, tag: &Tag) -> Result<(), Setback> {
    let tried = || format!("replace {}", place.dest.display());
    let mark = attributes::get(&old.file, OWNER.as_ref()).map_err(|error| os_error(tried(), error))?;
    // One that was copied or moved here with its attributes is of another place.
    let Some(theirs) = mark.as_deref().and_then(|mark| mark.strip_suffix(&*suffix(place))) else { return Ok(()) };
    let theirs = Path::new(OsStr::from_bytes(theirs));
    // Who has no state directory only looks.
    if tag.state_dir().is_none_or(|own| own == theirs) {
        return Ok(());
    }
    let Some(pid) = lock::holder(theirs) else { return Ok(()) };
    let why = format!("it is the file of another agent, process {pid}, with the state directory {}", theirs.display());
    Err(Setback::new(tried(), why).hint(format!(
        "give another dest, or stop that one; if it has given the file up: setfattr -x {OWNER} {}",
        place.dest.display()
    )))
}

/// How a mark in a file of this place ends.
fn suffix(place: &Place) -> Vec<u8> {
    [b"\n", place.real_path().as_os_str().as_bytes()].concat()
}
