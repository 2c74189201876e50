//! Tests that run again in their own namespaces.

use std::process::Command;

/// Set when a test runs inside its namespaces.
const INSIDE: &str = "ROSTERD_TEST_INSIDE";

/// Runs the test `name` again in namespaces that these options of `unshare` create, and fails if it fails. Returns
/// `true` in that run.
#[must_use]
pub fn is_inside(name: &str, namespaces: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    // `ip`, `nft` and others may be in directories that are not in the PATH of a user.
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

/// Runs a command, which must succeed.
pub fn run(command: &mut Command) {
    let status = command.status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{command:?}: {status:?}");
}
