//! Any text as a configuration: it is taken, or each problem has a message.

#![no_main]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rosterd::config::{Overrides, load};
use tempfile::TempDir;

static HOME: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));

fuzz_target!(|text: &str| {
    // Its own files are the operator's to choose, and a pattern over the whole disk takes its time.
    if text.contains("include") || text.contains('\\') {
        return;
    }
    let file = HOME.path().join("rosterd.toml");
    fs::write(&file, text).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its mode");
    if let Err(problems) = load(&file, &Overrides { host_name: "web1".into(), ..Overrides::default() }) {
        assert!(!problems.to_string().is_empty());
    }
});
