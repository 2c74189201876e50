//! The system calls of a replacement, as the kernel sees them: no file shows afterwards what makes it survive a power
//! cut.

use std::fs;

use crate::config::{Method, TemplateConfig};
use crate::decide::{Outcome, Stage};

use super::bench::{Bench, again, is_again, is_root, mode, set_mode};

const TRACED: &str = "trace=openat,write,fchown,fchmod,fsetxattr,fsync,rename,renameat,renameat2,mkdirat,unlinkat";

/// The traced calls on staged files, destinations and directories of the test: the thread, and `call target`. The
/// removal of the test's directory at its end, on the test's own thread, is not among them.
pub fn calls(trace: &str) -> Vec<(&str, String)> {
    let mut calls = Vec::new();
    for line in trace.lines().filter(|line| line.contains("rosterd-act-") && !line.contains(" = -1 ")) {
        let (thread, call) = line.split_once(' ').unwrap();
        let (name, arguments) = call.trim_start().split_once('(').unwrap();
        let on = if arguments.contains(".rosterd-") { "staged" } else { "directory" };
        let reads = name == "openat" && !arguments.contains("O_EXCL");
        if !reads && name != "unlinkat" {
            calls.push((thread, format!("{name} {on}")));
        }
    }
    calls
}

#[tokio::test]
async fn every_step_is_safe_on_disk_before_the_next() {
    const NAME: &str = "act::tests::order::every_step_is_safe_on_disk_before_the_next";
    if is_again() {
        let bench = Bench::new();
        let mut template = bench.template("made/f");
        template.make_dirs = true;
        assert_eq!(bench.publish(&template, b"one").await, Outcome::Replaced);
        xattr::set(&template.dest, "user.origin", b"by hand").unwrap();
        assert_eq!(bench.publish(&template, b"two").await, Outcome::Replaced);
        assert_eq!(bench.publish(&template, b"two").await, Outcome::Unchanged);
        return;
    }
    let trace = tempfile::NamedTempFile::new().unwrap();
    let file = trace.path().to_str().unwrap();
    let output = again(NAME, &["strace", "-f", "-qq", "-y", "-s", "0", "-e", TRACED, "-o", file]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let trace = fs::read_to_string(file).unwrap();
    let calls = calls(&trace);
    let made = ["mkdirat directory", "fchmod directory", "fsync directory"];
    let written = ["openat staged", "write staged", "fchown staged", "fchmod staged"];
    let attributes = ["fsetxattr staged"];
    let placed = ["fsync staged", "renameat staged", "fsync directory"];
    let expected = [&made[..], &written, &placed, &written, &attributes, &placed].concat();
    assert_eq!(calls.iter().map(|(_, call)| call.as_str()).collect::<Vec<_>>(), expected);
    assert!(calls.iter().all(|(thread, _)| *thread == calls[0].0), "all on one thread: {calls:?}");
}

/// The traced calls of another run of a test on the file `dest`, with the modes that they set.
fn calls_on_dest(test: &str, options: &[&str]) -> Vec<String> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let file = trace.path().to_str().unwrap();
    let traced = "trace=fallocate,write,fchown,fchmod,ftruncate,fsync";
    let strace = ["strace", "-f", "-qq", "-y", "-s", "0", "-o", file, "-e", traced];
    let output = again(test, &[&strace, options].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let trace = fs::read_to_string(file).unwrap();
    let calls = trace.lines().filter(|line| line.contains("/dest>")).map(|line| {
        let (_, call) = line.split_once(' ').unwrap();
        let (name, arguments) = call.trim_start().split_once('(').unwrap();
        let mode = arguments.split([',', ')']).nth(1).filter(|_| name == "fchmod");
        [name, mode.unwrap_or_default()].concat()
    });
    // The first write is the test's own.
    calls.skip(1).collect()
}

/// A file that is overwritten with a longer one.
fn overwritten(bench: &Bench) -> TemplateConfig {
    let mut template = bench.template("dest");
    template.placing.write = Method::InPlace;
    fs::write(&template.dest, "old").unwrap();
    set_mode(&template.dest, 0o660);
    template
}

#[tokio::test]
async fn an_overwrite_restricts_the_mode_first_and_extends_it_last() {
    const NAME: &str = "act::tests::order::an_overwrite_restricts_the_mode_first_and_extends_it_last";
    if is_again() {
        let bench = Bench::new();
        let mut template = overwritten(&bench);
        template.owner = is_root().then_some(12345);
        template.mode = Some(0o606);
        assert_eq!(bench.publish(&template, b"new and longer").await, Outcome::Replaced);
        assert_eq!(mode(&template.dest), 0o606);
        return;
    }
    // Only the owner may read it while its owner and its bytes change.
    let owned = if is_root() { &["fchown"][..] } else { &[] };
    let expected = [&["fallocate", "fchmod 0600"], owned, &["write", "ftruncate", "fchmod 0606", "fsync"]].concat();
    assert_eq!(calls_on_dest(NAME, &[]), expected);
}

#[tokio::test]
async fn an_overwrite_that_cannot_reserve_its_space_releases_it() {
    const NAME: &str = "act::tests::order::an_overwrite_that_cannot_reserve_its_space_releases_it";
    if is_again() {
        let bench = Bench::new();
        let message = bench.failure(&overwritten(&bench), b"new and longer", Stage::Write).await;
        assert!(message.contains("reserve space for") && message.contains("No space left"), "{message}");
        assert_eq!(fs::read(bench.path("dest")).unwrap(), b"old");
        return;
    }
    let full = ["-e", "inject=fallocate:error=ENOSPC"];
    assert_eq!(calls_on_dest(NAME, &full), ["fallocate", "ftruncate"]);
}
