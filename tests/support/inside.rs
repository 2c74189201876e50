//! Tests that run once more in namespaces of their own.

use std::process::Command;

/// Set in the run of a test that is inside.
const INSIDE: &str = "ROSTERD_TEST_INSIDE";

/// Runs the test `name` once more in namespaces of its own, which are options of `unshare`, and fails as it does. `true`
/// in that run.
#[must_use]
pub fn is_inside(name: &str, namespaces: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    // `ip`, `nft` and the like are where a user may not look.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let status = Command::new("unshare")
        .args(namespaces)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .env("PATH", path)
        .status()
        .unwrap();
    assert!(status.success());
    false
}

/// Runs a command with these words, which must do what it should.
pub fn run(command: &mut Command) {
    let status = command.status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{command:?}: {status:?}");
}
