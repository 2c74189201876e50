//! What a file has beside bytes, owner and mode: its ACL, user attributes and `SELinux` label.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{Mode, fchmod, fstat};
use xattr::FileExt;

use crate::error::Setback;

use crate::error::os::os_error;

#[cfg(test)]
mod tests;

/// The POSIX ACL as Linux stores it (`linux/posix_acl_xattr.h`).
const ACL: &str = "system.posix_acl_access";
/// The attribute in which an agent records that a file is its own.
pub const OWNER: &str = "user.rosterd.agent";
const LABEL: &str = "security.selinux";

/// Removes an ACL that the new file inherited from its directory if the old file had none. Otherwise the mode that is
/// set next would open the file to everyone in the default ACL.
pub fn drop_inherited(new: &File, old: &File) -> io::Result<()> {
    if get(new, ACL.as_ref())?.is_some() && get(old, ACL.as_ref())?.is_none() {
        new.remove_xattr(ACL)?;
    }
    Ok(())
}

/// Copies the ACL, user attributes and label of the old file to the new one.
pub fn copy(old: &File, new: &File, mode: u32, path: &Path) -> Result<(), Setback> {
    let names = match old.list_xattr() {
        Ok(names) => names,
        Err(error) if is_unsupported(&error) => return Ok(()),
        Err(error) => {
            return Err(os_error(format!("list the attributes of the file that {} replaces", path.display()), error));
        }
    };
    for name in names.filter(|name| is_kept(name)) {
        let failed = |error| {
            let hint = format!("or remove it from the old file with setfattr -x {} FILE", name.display());
            let setback = os_error(format!("copy the attribute {} to {}", name.display(), path.display()), error);
            let known = setback.hint.as_ref().map(|known| format!("{known}; "));
            setback.hint(known.unwrap_or_default() + &hint)
        };
        let Some(mut value) = get(old, &name).map_err(failed)? else { continue };
        if name == ACL {
            fit_acl_to_mode(&mut value, mode);
        }
        // If the policy has set the right label already, setting it again would only need privileges.
        if get(new, &name).map_err(failed)?.as_deref() != Some(&value[..]) {
            set(new, &name, &value).map_err(failed)?;
        }
    }
    Ok(())
}

/// Sets an attribute. Only root may set one on a file that its owner may not write, so the file is made writable for
/// that instant.
pub fn set(file: &File, name: &OsStr, value: &[u8]) -> io::Result<()> {
    match file.set_xattr(name, value) {
        Err(error) if error.raw_os_error() == Some(Errno::EACCES as i32) => {}
        answer => return answer,
    }
    let mode = Mode::from_bits_truncate(fstat(file)?.st_mode);
    fchmod(file, mode | Mode::S_IWUSR)?;
    let answer = file.set_xattr(name, value);
    fchmod(file, mode)?;
    answer
}

fn is_kept(name: &OsStr) -> bool {
    let is_users = name.as_encoded_bytes().starts_with(b"user.") && name != OWNER;
    name == ACL || name == LABEL || is_users
}

/// The value of an attribute; `None` if the file does not have it.
pub fn get(file: &File, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    match file.get_xattr(name) {
        Err(error) if is_unsupported(&error) => Ok(None),
        answer => answer,
    }
}

/// Whether the file system does not support extended attributes.
pub fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| [Errno::ENOTSUP, Errno::ENOSYS].contains(&Errno::from_raw(code)))
}

/// Sets the permissions in an ACL from a mode. Setting an ACL also sets the mode bits, which could otherwise be wider
/// than the configured mode for an instant.
///
/// The format is four bytes of version, then entries of eight bytes: tag and permissions (both 16 bits, little endian),
/// and an id.
fn fit_acl_to_mode(acl: &mut [u8], mode: u32) {
    const OWNER: u8 = 0x01;
    const GROUP: u8 = 0x04;
    const MASK: u8 = 0x10;
    const OTHER: u8 = 0x20;
    let entries = acl.get(4..).unwrap_or_default();
    // With a mask, the group bits of a mode are the mask, and the group's own entry stays as it is.
    let group = if entries.chunks_exact(8).any(|entry| entry.first() == Some(&MASK)) { MASK } else { GROUP };
    let [.., low] = (mode & 7).to_be_bytes();
    let [.., middle] = (mode >> 3 & 7).to_be_bytes();
    let [.., high] = (mode >> 6 & 7).to_be_bytes();
    for entry in acl.get_mut(4..).unwrap_or_default().chunks_exact_mut(8) {
        let [tag, _, permissions, ..] = entry else { continue };
        match *tag {
            OWNER => *permissions = high,
            OTHER => *permissions = low,
            tag if tag == group => *permissions = middle,
            _ => {}
        }
    }
}
