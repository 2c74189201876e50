//! Which agent writes a file. The agent stores its state directory in an attribute of the file, so that another agent
//! does not replace the file while this one runs.
//!
//! A file system without extended attributes gives no such protection.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::Setback;

use super::attributes::{self, OWNER};
use super::leftovers::Tag;
use super::place::{ExistingFile, Place};
use crate::error::os::os_error;
use crate::state::lock;

/// Records in a staged file that it is this agent's.
pub fn mark(file: &File, place: &Place, tag: &Tag) -> Result<(), Setback> {
    let Some(state_dir) = tag.state_dir() else { return Ok(()) };
    let value = [state_dir.as_os_str().as_bytes(), &suffix(place)].concat();
    match attributes::set(file, OWNER.as_ref(), &value) {
        Err(error) if !attributes::is_unsupported(&error) => {
            Err(os_error(format!("record this agent as the writer of {}", place.dest.display()), error))
        }
        _ => Ok(()),
    }
}

/// Fails if the file belongs to another agent that is running.
pub fn check(old: &ExistingFile, place: &Place, tag: &Tag) -> Result<(), Setback> {
    let tried = || format!("replace {}", place.dest.display());
    let mark = attributes::get(&old.file, OWNER.as_ref()).map_err(|error| os_error(tried(), error))?;
    // A file that was copied or moved here with its attributes was written for another path.
    let Some(theirs) = mark.as_deref().and_then(|mark| mark.strip_suffix(&*suffix(place))) else { return Ok(()) };
    let theirs = Path::new(OsStr::from_bytes(theirs));
    // A process without a state directory writes nothing.
    if tag.state_dir().is_none_or(|own| own == theirs) {
        return Ok(());
    }
    let Some(pid) = lock::holder(theirs) else { return Ok(()) };
    let why = format!("another agent writes it (pid {pid}, state directory {})", theirs.display());
    Err(Setback::new(tried(), why).hint(format!(
        "use another dest, or stop that agent; if it no longer writes the file: setfattr -x {OWNER} {}",
        place.dest.display()
    )))
}

/// The end of the attribute's value for a file at this place.
fn suffix(place: &Place) -> Vec<u8> {
    [b"\n", place.real_path().as_os_str().as_bytes()].concat()
}
