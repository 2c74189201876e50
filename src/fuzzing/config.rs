//! Any text as a configuration: it is accepted, or each problem has a message.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::config::{Overrides, load};
use tempfile::TempDir;

/// Any bytes are either a valid configuration or rejected with a message. The file is written in `home`.
///
/// # Panics
/// If that does not hold.
pub fn any(home: &TempDir, bytes: &[u8]) {
    // The configuration may include any file, and a pattern over the whole disk is slow.
    if bytes.contains(&b'\\') || bytes.windows(7).any(|word| word == b"include") {
        return;
    }
    let file = home.path().join("rosterd.toml");
    fs::write(&file, bytes).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its mode");
    if let Err(problems) = load(&file, &Overrides { host_name: "web1".into(), ..Overrides::default() }) {
        assert!(!problems.to_string().is_empty());
        assert!(problems.draw(true).len() >= problems.to_string().len());
    }
}
