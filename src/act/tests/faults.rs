//! Failing system calls: the old file stays as it was, nothing is left behind, and the message names the remedy.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use crate::decide::{Failure, Outcome, Stage};

use super::bench::{Bench, again, identity, is_again, is_root, passes_again, shell, staged_in};

/// Mounts of a test vanish with its process. Without root, a user namespace permits them.
pub fn with_mounts() -> &'static [&'static str] {
    if is_root() { &["unshare", "-m"] } else { &["unshare", "-Urm"] }
}

/// A mount that lasts until this is dropped.
pub struct Mounted(PathBuf);

impl Mounted {
    pub fn new(arguments: &[&str], on: &Path) -> Self {
        mount(arguments, on);
        Self(on.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], on: &Path) {
    assert!(Process::new("mount").args(arguments).arg(on).status().unwrap().success(), "mount {arguments:?}");
}

#[tokio::test]
async fn a_full_disk() {
    const NAME: &str = "act::tests::faults::a_full_disk";
    if !is_again() {
        return passes_again(NAME, with_mounts());
    }
    let bench = Bench::new();
    let _mounted =
        Mounted::new(&["-t", "tmpfs", "-o", "size=64k,nr_inodes=4,mode=755", "none"], bench.directory.path());
    let template = bench.template("f");
    assert_eq!(bench.publish(&template, b"old").await, Outcome::Replaced);
    let before = identity(&template.dest);
    let message = bench.failure(&template, &vec![b'x'; 100_000], Stage::Write).await;
    assert!(message.contains("No space left") && message.contains("see df"), "{message}");
    assert_eq!(identity(&template.dest), before);
    // There are inodes only for the directory, the file, and these.
    fs::write(bench.path("a"), "").unwrap();
    fs::write(bench.path("b"), "").unwrap();
    let message = bench.failure(&template, b"new", Stage::Write).await;
    assert!(message.contains("create a file in") && message.contains("No space left"), "{message}");
    assert_eq!(identity(&template.dest), before);
    fs::remove_file(bench.path("a")).unwrap();
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
}

#[tokio::test]
async fn a_read_only_disk() {
    const NAME: &str = "act::tests::faults::a_read_only_disk";
    if !is_again() {
        return passes_again(NAME, with_mounts());
    }
    let bench = Bench::new();
    let _mounted = Mounted::new(&["-t", "tmpfs", "-o", "mode=755", "none"], bench.directory.path());
    let mut template = bench.template("f");
    assert_eq!(bench.publish(&template, b"old").await, Outcome::Replaced);
    let before = identity(&template.dest);
    mount(&["-o", "remount,ro"], bench.directory.path());
    let message = bench.failure(&template, b"new", Stage::Write).await;
    assert!(message.contains("Read-only file system") && message.contains("remount it"), "{message}");
    assert_eq!(bench.publish(&template, b"old").await, Outcome::Unchanged);
    mount(&["-o", "remount,rw"], bench.directory.path());
    // It becomes read-only between staging and rename: then the staged file cannot be removed either.
    template.check = Some(shell(format!("mount -o remount,ro {}", bench.directory.path().display())));
    let Outcome::Failed(Failure { stage: Stage::Write, message, .. }) = bench.publish(&template, b"new").await else {
        panic!("it did not fail");
    };
    assert!(message.contains("rename ") && message.contains("Read-only"), "{message}");
    assert_eq!(identity(&template.dest), before);
}

#[tokio::test]
async fn a_destination_that_is_a_mount_point() {
    const NAME: &str = "act::tests::faults::a_destination_that_is_a_mount_point";
    if !is_again() {
        return passes_again(NAME, with_mounts());
    }
    let bench = Bench::new();
    fs::write(bench.path("source file"), "old").unwrap();
    let template = bench.template("f");
    fs::write(&template.dest, "under").unwrap();
    let _mounted = Mounted::new(&["--bind", bench.path("source file").to_str().unwrap()], &template.dest);
    let before = identity(&template.dest);
    let message = bench.failure(&template, b"new", Stage::Write).await;
    assert!(message.contains("is a mount point") && message.contains("source file of "), "{message}");
    assert!(message.contains("mount the directory that it is in"), "{message}");
    assert_eq!(identity(&template.dest), before);
}

#[tokio::test]
async fn a_directory_replaced_during_the_check() {
    let bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    let mut template = bench.template("d/f");
    let (d, gone) = (bench.path("d"), bench.path("gone"));
    template.check = Some(shell(format!("mv {d} {gone} && mkdir {d}", d = d.display(), gone = gone.display())));
    let message = bench.failure(&template, b"new", Stage::Write).await;
    assert!(message.contains("was replaced by another one in the meantime"), "{message}");
    assert_eq!((fs::read_dir(&d).unwrap().count(), fs::read_dir(&gone).unwrap().count()), (0, 0));
    template.check = None;
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
}

#[tokio::test]
async fn a_link_that_appears_during_the_check() {
    let bench = Bench::new();
    fs::write(bench.path("target"), "kept").unwrap();
    let mut template = bench.template("f");
    template.check = Some(shell("ln -s target {{ dest }}"));
    let message = bench.failure(&template, b"new", Stage::Write).await;
    assert!(message.contains("it is a symbolic link to target"), "{message}");
    assert_eq!(fs::read(bench.path("target")).unwrap(), b"kept");
}

/// Publishes over an old file while the n-th call of a kind fails.
fn with_fault(test: &str, call: &str, errno: &str, nth: u32) {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={errno}:when={nth}"));
    passes_again(test, &["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject]);
}

/// The file thread makes this many writes before its first to a staged file.
const WRITES: u32 = 500;

#[tokio::test]
async fn any_failed_call_before_the_rename_leaves_the_old_file() {
    const NAME: &str = "act::tests::faults::any_failed_call_before_the_rename_leaves_the_old_file";
    if !is_again() {
        for (call, nth) in
            [("write", WRITES + 1), ("fchown", 1), ("fchmod", 1), ("fsetxattr", 1), ("fsync", 1), ("renameat", 1)]
        {
            for errno in ["EIO", "ENOSPC", "EDQUOT", "EROFS", "EPERM", "EBUSY", "EXDEV", "EMFILE"] {
                with_fault(NAME, call, errno, nth);
            }
        }
        return;
    }
    let bench = Bench::new();
    // The number distinguishes a write from those of other threads, none of which makes that many.
    bench.writer.in_order(|| {
        let mut nowhere = fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
        (0..WRITES).for_each(|_| nowhere.write_all(b"x").unwrap());
    });
    let template = bench.template("f");
    fs::write(&template.dest, "old").unwrap();
    xattr::set(&template.dest, "user.origin", b"by hand").unwrap();
    let before = identity(&template.dest);
    let message = bench.failure(&template, b"new", Stage::Write).await;
    assert!(message.contains("(os error ") && message.ends_with(')'), "{message}");
    assert_eq!(identity(&template.dest), before);
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced, "the fault is over");
}

#[tokio::test]
async fn a_directory_that_cannot_be_synced() {
    const NAME: &str = "act::tests::faults::a_directory_that_cannot_be_synced";
    if !is_again() {
        return with_fault(NAME, "fsync", "EIO", 2);
    }
    let bench = Bench::new();
    let template = bench.template("f");
    fs::write(&template.dest, "old").unwrap();
    let message = bench.failure(&template, b"new", Stage::Write).await;
    assert!(message.contains("sync the directory") && message.contains("a power cut may undo it"), "{message}");
    let before = identity(&template.dest);
    assert_eq!(before.1, b"new");
    // The retry must not trust the bytes it sees, or their reload would never become pending.
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    assert_ne!(identity(&template.dest).0, before.0);
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Unchanged);
}

#[tokio::test]
async fn a_file_system_that_cannot_sync_directories() {
    const NAME: &str = "act::tests::faults::a_file_system_that_cannot_sync_directories";
    if !is_again() {
        return with_fault(NAME, "fsync", "EINVAL", 2);
    }
    let bench = Bench::new();
    let template = bench.template("f");
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Unchanged);
    assert!(staged_in(bench.directory.path()).is_empty());
}

#[tokio::test]
async fn strace_injects_the_faults() {
    // If strace injected nothing, the tests above would pass for the wrong reason.
    const NAME: &str = "act::tests::faults::strace_injects_the_faults";
    if is_again() {
        let bench = Bench::new();
        assert_eq!(bench.publish(&bench.template("f"), b"new").await, Outcome::Replaced);
        return;
    }
    let inject = "inject=fsync:error=EIO:when=1";
    let output = again(NAME, &["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", inject]);
    assert!(!output.status.success());
}
