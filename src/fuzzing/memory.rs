//! Any bytes as a file of what was known before: what is whole in it is taken, and what is not does no harm.

use std::fs;

use crate::state::append_log::Access;
use crate::state::last_good::LastGood;
use tempfile::TempDir;

/// Whatever is in these bytes, something or nothing is recalled by them, and by looking nothing is changed.
///
/// # Panics
/// It is not so.
pub fn any(home: &TempDir, bytes: &[u8]) {
    let rosters = home.path().join("rosters");
    fs::create_dir_all(&rosters).expect("a folder");
    let file = rosters.join("web.roster");
    fs::write(&file, bytes).expect("a file");
    let recalled = LastGood::new(home.path()).load(Access::ReadOnly);
    assert!(recalled.keys().all(|name| &**name == "web"), "{recalled:?}");
    assert_eq!(fs::read(&file).expect("the file"), bytes);
}
