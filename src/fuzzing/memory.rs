//! Any bytes as a file of saved members: intact lines are read, and damaged ones are ignored.

use std::fs;

use crate::state::append_log::Access;
use crate::state::last_good::LastGood;
use tempfile::TempDir;

/// Whatever these bytes contain, they are loaded or ignored, and loading changes nothing.
///
/// # Panics
/// If that does not hold.
pub fn any(home: &TempDir, bytes: &[u8]) {
    let rosters = home.path().join("rosters");
    fs::create_dir_all(&rosters).expect("a folder");
    let file = rosters.join("web.roster");
    fs::write(&file, bytes).expect("a file");
    let recalled = LastGood::new(home.path()).load(Access::ReadOnly);
    assert!(recalled.keys().all(|name| &**name == "web"), "{recalled:?}");
    assert_eq!(fs::read(&file).expect("the file"), bytes);
}
