//! The system calls of a replacement, as the kernel sees them: what makes it last through a power cut cannot be seen
//! in any file afterwards.

use std::fs;

use rosterd::decide::Outcome;

use crate::bench::{Bench, again, is_again};

const TRACED: &str = "trace=openat,write,fchown,fchmod,fsetxattr,fsync,rename,renameat,renameat2,mkdirat,unlinkat";

/// The traced calls on staged files, destinations and folders of the test: the thread, and `call target`. Removing the
/// test's folder at its end, on the test's own thread, is not among them.
pub fn calls(trace: &str) -> Vec<(&str, String)> {
    let mut calls = Vec::new();
    for line in trace.lines().filter(|line| line.contains("rosterd-act-") && !line.contains(" = -1 ")) {
        let (thread, call) = line.split_once(' ').unwrap();
        let (name, arguments) = call.trim_start().split_once('(').unwrap();
        let on = if arguments.contains(".rosterd-") { "staged" } else { "folder" };
        let reads = name == "openat" && !arguments.contains("O_EXCL");
        if !reads && name != "unlinkat" {
            calls.push((thread, format!("{name} {on}")));
        }
    }
    calls
}

#[tokio::test]
async fn every_step_is_safe_on_disk_before_the_next() {
    const NAME: &str = "order::every_step_is_safe_on_disk_before_the_next";
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
    let made = ["mkdirat folder", "fchmod folder", "fsync folder"];
    let written = ["openat staged", "write staged", "fchown staged", "fchmod staged"];
    let attributes = ["fsetxattr staged"];
    let placed = ["fsync staged", "renameat staged", "fsync folder"];
    let expected = [&made[..], &written, &placed, &written, &attributes, &placed].concat();
    assert_eq!(calls.iter().map(|(_, call)| call.as_str()).collect::<Vec<_>>(), expected);
    assert!(calls.iter().all(|(thread, _)| *thread == calls[0].0), "all on one thread: {calls:?}");
}
