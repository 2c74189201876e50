//! Tells the program from which commit it is built, for `rosterd --version`.

use std::process::Command;

/// What git prints, in one line; `None` outside of a clone.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A development build is not repeated for each commit.
    if std::env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    // A package that is built without a clone may set the variable itself.
    if let Some(commit) = git(&["log", "-1", "--abbrev=12", "--format=%h, %cs"]) {
        println!("cargo::rustc-env=ROSTERD_COMMIT={commit}");
    }
}
