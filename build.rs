//! Gives release builds of a checkout the commit and its date for `--version`: `ROSTERD_COMMIT`. Both are those of the
//! checkout, never of the build, so that two builds are the same. Other builds would only be built again after each
//! commit.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name| env::var(name).unwrap_or_default();
    // A source package may be unpacked within the checkout of something else.
    let is_checkout = git(&["rev-parse", "--show-toplevel"]).is_some_and(|top| top == variable("CARGO_MANIFEST_DIR"));
    if variable("PROFILE") != "release" || !is_checkout {
        return;
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    if let Some(commit) = git(&["log", "-1", "--abbrev=12", "--format=%h, %cs"]) {
        println!("cargo::rustc-env=ROSTERD_COMMIT={commit}");
    }
}

/// The output of a command of git; `None` without git.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
