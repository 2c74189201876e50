//! What a replacement keeps, sets, leaves alone and refuses.

use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use crate::act::files::{Comparison, compare};
use crate::config::{Command, Method, Trust};
use crate::decide::{Outcome, Stage};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, mkfifo};

use super::bench::{Bench, identity, is_again, is_root, mode, passes_again, set_mode, shell, staged_in};

#[tokio::test]
async fn a_new_file_gets_the_default_mode_and_the_configured_one() {
    let bench = Bench::new();
    let mut template = bench.template("new");
    assert_eq!(bench.publish(&template, b"one\n").await, Outcome::Replaced);
    assert_eq!((mode(&template.dest), fs::read(&template.dest).unwrap()), (0o644, b"one\n".to_vec()));
    template = bench.template("secret");
    template.mode = Some(0o600);
    assert_eq!(bench.publish(&template, b"").await, Outcome::Replaced);
    assert_eq!((mode(&template.dest), fs::read(&template.dest).unwrap()), (0o600, Vec::new()));
}

#[tokio::test]
async fn mode_and_owner_stay_unless_they_are_configured() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    // Another owner if the tests may change owners, else their own.
    let (uid, gid) = if is_root() { (12345, 23456) } else { (Uid::current().as_raw(), Gid::current().as_raw()) };
    fs::write(&template.dest, "old").unwrap();
    chown(&template.dest, Some(uid), Some(gid)).unwrap();
    for old in [0o640, 0o400, 0o755, 0o666, 0o4750] {
        set_mode(&template.dest, old);
        let bytes = format!("{old:o}");
        assert_eq!(bench.publish(&template, bytes.as_bytes()).await, Outcome::Replaced);
        let now = fs::metadata(&template.dest).unwrap();
        assert_eq!((mode(&template.dest), now.uid(), now.gid()), (old, uid, gid));
    }
    let (owner, group) = if is_root() { (34567, 45678) } else { (uid, gid) };
    (template.mode, template.owner, template.group) = (Some(0o2640), Some(owner), Some(group));
    assert_eq!(bench.publish(&template, b"set").await, Outcome::Replaced);
    let now = fs::metadata(&template.dest).unwrap();
    assert_eq!((mode(&template.dest), now.uid(), now.gid()), (0o2640, owner, group));
}

#[tokio::test]
async fn equal_bytes_are_not_written() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    // The check would refuse, which shows that it does not run.
    template.check = Some(shell("exit 1"));
    fs::write(&template.dest, "same").unwrap();
    set_mode(&template.dest, 0o640);
    let before = identity(&template.dest);
    for configured in [None, Some(0o640)] {
        template.mode = configured;
        assert_eq!(bench.publish(&template, b"same").await, Outcome::Unchanged);
    }
    assert_eq!(identity(&template.dest), before);
}

#[tokio::test]
async fn equal_bytes_with_a_wrong_mode_are_replaced() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    fs::write(&template.dest, "same").unwrap();
    set_mode(&template.dest, 0o644);
    template.mode = Some(0o600);
    let before = identity(&template.dest);
    let expected = Comparison {
        differs: true,
        old: Some(b"same".to_vec()),
        new: b"same".to_vec(),
        attributes: Some("mode 0644 becomes 0600".to_owned()),
    };
    assert_eq!(compare(&bench.writer, &template, b"same").await, Ok(expected));
    assert_eq!(bench.publish(&template, b"same").await, Outcome::Replaced);
    assert_ne!(identity(&template.dest).0, before.0, "the inode is a new one");
    assert_eq!(mode(&template.dest), 0o600);
    assert_eq!(bench.publish(&template, b"same").await, Outcome::Unchanged);
}

#[tokio::test]
async fn acl_and_user_attributes_stay() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    fs::write(&template.dest, "old").unwrap();
    // rw for the owner and for user 4711, r for the group, rw as the mask, nothing for others.
    let acl = acl(&[(1, 6, u32::MAX), (2, 6, 4711), (4, 4, u32::MAX), (0x10, 6, u32::MAX), (0x20, 0, u32::MAX)]);
    xattr::set(&template.dest, "system.posix_acl_access", &acl).unwrap();
    xattr::set(&template.dest, "user.origin", b"by hand").unwrap();
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    assert_eq!(xattr::get(&template.dest, "system.posix_acl_access").unwrap(), Some(acl));
    assert_eq!(xattr::get(&template.dest, "user.origin").unwrap(), Some(b"by hand".to_vec()));
    assert_eq!(mode(&template.dest), 0o660);
    template.mode = Some(0o640);
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    assert_eq!(mode(&template.dest), 0o640, "a configured mode narrows the mask");
    assert!(xattr::get(&template.dest, "system.posix_acl_access").unwrap().is_some());
}

#[tokio::test]
async fn user_attributes_stay_on_a_read_only_file() {
    const NAME: &str = "act::tests::files::user_attributes_stay_on_a_read_only_file";
    if is_root() && !is_again() {
        // Without root no attribute can be set on it.
        return passes_again(NAME, &["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]);
    }
    let bench = Bench::new();
    let template = bench.template("f");
    fs::write(&template.dest, "old").unwrap();
    xattr::set(&template.dest, "user.origin", b"by hand").unwrap();
    set_mode(&template.dest, 0o440);
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    assert_eq!(xattr::get(&template.dest, "user.origin").unwrap(), Some(b"by hand".to_vec()));
    assert_eq!(mode(&template.dest), 0o440);
}

#[tokio::test]
async fn a_default_acl_of_the_directory_opens_no_file() {
    let bench = Bench::new();
    let template = bench.template("f");
    fs::write(&template.dest, "old").unwrap();
    set_mode(&template.dest, 0o640);
    let default = acl(&[(1, 7, u32::MAX), (2, 7, 4711), (4, 5, u32::MAX), (0x10, 7, u32::MAX), (0x20, 5, u32::MAX)]);
    xattr::set(bench.directory.path(), "system.posix_acl_default", &default).unwrap();
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    assert_eq!(xattr::get(&template.dest, "system.posix_acl_access").unwrap(), None);
    assert_eq!(mode(&template.dest), 0o640);
}

pub fn acl(entries: &[(u8, u8, u32)]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0];
    for (tag, permissions, id) in entries {
        bytes.extend([*tag, 0, *permissions, 0]);
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[tokio::test]
async fn the_selinux_label_stays() {
    // Only root may set one if no policy is loaded; others have none to keep.
    let bench = Bench::new();
    let template = bench.template("f");
    fs::write(&template.dest, "old").unwrap();
    let label = b"system_u:object_r:etc_t:s0\0".to_vec();
    if is_root() {
        xattr::set(&template.dest, "security.selinux", &label).unwrap();
    }
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    assert_eq!(xattr::get(&template.dest, "security.selinux").unwrap(), is_root().then_some(label));
}

#[tokio::test]
async fn links_directories_and_special_files_are_refused() {
    let bench = Bench::new();
    fs::write(bench.path("target"), "kept").unwrap();
    symlink("target", bench.path("link")).unwrap();
    fs::write(bench.path("hard"), "kept").unwrap();
    fs::hard_link(bench.path("hard"), bench.path("other")).unwrap();
    fs::create_dir(bench.path("directory")).unwrap();
    mkfifo(&bench.path("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
    let _socket = UnixListener::bind(bench.path("socket")).unwrap();
    let cases = [
        ("link", "it is a symbolic link to target (use its target as dest"),
        ("hard", "it has 2 hard links, and the others would keep the old content (break the link with: cp -p"),
        ("directory", "it is a directory (dest must be a file"),
        ("pipe", "it is a named pipe, not a regular file"),
        ("socket", "it is a socket"),
        ("missing/f", "it does not exist (mkdir -p"),
        ("target/f", "is not a directory"),
    ];
    for (name, part) in cases {
        let template = bench.template(name);
        let message = bench.failure(&template, b"new", Stage::Write).await;
        assert!(message.contains(part) && message.contains(name.split('/').next().unwrap()), "{message}");
        let setback = compare(&bench.writer, &template, b"new").await.unwrap_err();
        assert_eq!(setback.to_string(), message, "a dry run reports the same");
    }
    let mut device = bench.template("null");
    device.dest = "/dev/null".into();
    let message = bench.failure(&device, b"new", Stage::Write).await;
    assert!(message.contains("replace /dev/null: it is a device, not a regular file"), "{message}");
    assert_eq!(fs::read(bench.path("target")).unwrap(), b"kept");
    assert_eq!(fs::read_link(bench.path("link")).unwrap(), Path::new("target"));
}

#[tokio::test]
async fn root_refuses_a_world_writable_directory() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    set_mode(bench.directory.path(), 0o777);
    if is_root() {
        let message = bench.failure(&template, b"new", Stage::Write).await;
        assert!(message.contains("it is world-writable") && message.contains("chmod o-w"), "{message}");
        template = bench.template("made/f");
        template.make_dirs = true;
        bench.failure(&template, b"new", Stage::Write).await;
        assert!(!bench.path("made").exists());
        set_mode(bench.directory.path(), 0o1777);
    }
    template = bench.template("f");
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    set_mode(bench.directory.path(), 0o777);
    bench.writer.trust(Trust::new([bench.directory.path().to_owned()]));
    assert_eq!(bench.publish(&template, b"newer").await, Outcome::Replaced, "it is trusted");
}

#[tokio::test]
async fn in_a_world_writable_directory_files_of_other_users_are_refused() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    template.mode = Some(0o600);
    set_mode(bench.directory.path(), 0o1777);
    fs::write(&template.dest, "old").unwrap();
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced, "the agent owns the file");
    if !is_root() {
        return;
    }
    chown(&template.dest, Some(12345), None).unwrap();
    let before = identity(&template.dest);
    for write in [Method::Atomic, Method::InPlace] {
        template.placing.write = write;
        let message = bench.failure(&template, b"secret", Stage::Write).await;
        assert!(message.contains("it belongs to user 12345, and its directory is world-writable"), "{message}");
        assert_eq!(identity(&template.dest), before);
    }
    template.owner = Some(12345);
    assert_eq!(bench.publish(&template, b"his").await, Outcome::Replaced, "the template sets this owner");
    template.owner = None;
    set_mode(bench.directory.path(), 0o755);
    assert_eq!(bench.publish(&template, b"still").await, Outcome::Replaced, "only root can have set this owner");
    assert_eq!(fs::metadata(&template.dest).unwrap().uid(), 12345);
    chown(bench.directory.path(), Some(12345), None).unwrap();
    set_mode(bench.directory.path(), 0o1777);
    assert_eq!(bench.publish(&template, b"at home").await, Outcome::Replaced, "the user also owns the directory");
}

#[tokio::test]
async fn missing_directories_are_created_only_with_make_dirs() {
    const NAME: &str = "act::tests::files::missing_directories_are_created_only_with_make_dirs";
    if !is_again() {
        passes_again(NAME, &["sh", "-c", "umask 077; exec \"$@\"", "sh"]);
        // Without root, a directory without read permission cannot be opened even by its owner.
        let somebody = if is_root() { "setpriv --reuid=12345 --regid=12345 --clear-groups" } else { "" };
        return passes_again(NAME, &["sh", "-c", &format!("umask 777; exec {somebody} \"$@\""), "sh"]);
    }
    let bench = Bench::new();
    set_mode(bench.directory.path(), 0o755);
    let mut template = bench.template("a/b/f");
    let none = Comparison { differs: true, old: None, new: b"new".to_vec(), attributes: None };
    bench.failure(&template, b"new", Stage::Write).await;
    template.make_dirs = true;
    assert_eq!(compare(&bench.writer, &template, b"new").await, Ok(none));
    assert!(!bench.path("a").exists(), "a dry run makes nothing");
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    assert_eq!((mode(&bench.path("a")), mode(&bench.path("a/b"))), (0o755, 0o755));
    fs::remove_dir_all(bench.path("a/b")).unwrap();
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
}

#[tokio::test]
async fn no_file_is_ever_more_permissive_than_its_mode() {
    const NAME: &str = "act::tests::files::no_file_is_ever_more_permissive_than_its_mode";
    if !is_again() {
        for umask in ["000", "077", "777"] {
            passes_again(NAME, &["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
        }
        return;
    }
    let bench = Bench::new();
    set_mode(bench.directory.path(), 0o755);
    for target in [0o600, 0o640, 0o440, 0o000] {
        let mut template = bench.template(&format!("f{target:o}"));
        template.mode = Some(target);
        let ended = Arc::new(AtomicBool::new(false));
        let watcher = {
            let (directory, ended) = (bench.directory.path().to_owned(), ended.clone());
            thread::spawn(move || {
                let mut seen = 0_u32;
                while !ended.load(Ordering::Relaxed) {
                    for name in staged_in(&directory) {
                        seen |= fs::symlink_metadata(directory.join(name)).map_or(0, |stat| stat.mode() & 0o7777);
                    }
                }
                seen
            })
        };
        for round in 0..40 {
            assert_eq!(bench.publish(&template, format!("{round}").as_bytes()).await, Outcome::Replaced);
            assert_eq!(mode(&template.dest), target);
        }
        ended.store(true, Ordering::Relaxed);
        let seen = watcher.join().unwrap();
        assert_eq!(seen & !target, 0, "seen {seen:o} of {target:o}");
        fs::remove_file(&template.dest).unwrap();
    }
}

#[tokio::test]
async fn a_failed_check_leaves_the_old_file_unchanged() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    fs::write(&template.dest, "old").unwrap();
    let before = identity(&template.dest);
    let cases = [
        ("grep -q good {{ src }} || { echo \"no good in $ROSTERD_SRC\"; exit 3; }", "exited with 3:\n  no good in /"),
        ("kill -9 $$", "was killed by SIGKILL"),
        ("not-a-program {{.src}}", "exited with 127"),
        ("echo bad >> {{ src }}", "was changed after it was written (a check_cmd must only read its file)"),
        ("cp {{ src }} {{ src }}x && mv {{ src }}x {{ src }}", "was changed after it was written"),
        ("chmod 777 {{ src }}", "was changed after it was written"),
    ];
    for (check, part) in cases {
        template.check = Some(shell(check));
        // Only a check that exits on its own has judged the bytes.
        let stage = if part.starts_with("exited with 3") { Stage::Refused } else { Stage::Check };
        let message = bench.failure(&template, b"new", stage).await;
        assert!(message.contains(part), "{message}");
        assert_eq!(identity(&template.dest), before, "{check}");
    }
    template.check = Some(shell("echo {{ src }}:3: no, {{ src }}; basename {{ src }}; false"));
    let (message, dest) = (bench.failure(&template, b"new", Stage::Refused).await, template.dest.display());
    assert!(message.ends_with(&format!("\n  {dest}:3: no, {dest}\n  f")), "the output names the file: {message}");
    template.check = Some(shell("grep -q good {{ src }} && grep -q old {{ dest }}"));
    assert_eq!(bench.publish(&template, b"good").await, Outcome::Replaced);
    // A file that is its own check: a file that is open for writing cannot be executed.
    (template.mode, template.check) = (Some(0o755), Some(Command::Exec(vec!["{{ src }}".to_owned()])));
    assert_eq!(bench.publish(&template, b"#!/bin/sh\nexit 0\n").await, Outcome::Replaced);
}

#[tokio::test]
async fn stopping_leaves_the_old_file_unchanged() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    fs::write(&template.dest, "old").unwrap();
    let before = identity(&template.dest);
    template.check = Some(shell(format!("touch {}; sleep 100", bench.path("running").display())));
    let (outcome, ()) = tokio::join!(bench.publish(&template, b"new"), async {
        crate::act::tests::bench::until("the check runs", || bench.path("running").exists()).await;
        assert_eq!(staged_in(bench.directory.path()).len(), 1);
        bench.stop.cancel();
    });
    assert_eq!(outcome, Outcome::Abandoned);
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Abandoned, "no further check is started");
    assert_eq!((identity(&template.dest), staged_in(bench.directory.path())), (before, Vec::new()));
}

#[tokio::test]
async fn a_publication_that_is_dropped_leaves_nothing_staged() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    template.check = Some(shell(format!("touch {}; sleep 100", bench.path("running").display())));
    tokio::select! {
        outcome = bench.publish(&template, b"new") => panic!("{outcome:?}"),
        () = crate::act::tests::bench::until("the check runs", || bench.path("running").exists()) => {}
    }
    crate::act::tests::bench::until("the staged file is gone", || staged_in(bench.directory.path()).is_empty()).await;
}

#[tokio::test]
async fn without_permission_nothing_changes() {
    const NAME: &str = "act::tests::files::without_permission_nothing_changes";
    if is_root() && !is_again() {
        // As a user who may not change owners.
        return passes_again(NAME, &["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]);
    }
    let bench = Bench::new();
    let mut template = bench.template("f");
    fs::write(&template.dest, "old").unwrap();
    let before = identity(&template.dest);
    template.owner = Some(0);
    let message = bench.failure(&template, b"new", Stage::Write).await;
    assert!(message.contains("set owner 0 and group"), "{message}");
    let (uid, gid) = (nix::unistd::Uid::effective(), nix::unistd::Gid::effective());
    assert!(message.contains(&format!("set owner = {uid} and group = {gid} on the template")), "{message}");
    assert_eq!(identity(&template.dest), before);
    template.owner = None;
    set_mode(bench.directory.path(), 0o500);
    let message = bench.failure(&template, b"new", Stage::Write).await;
    assert!(message.contains("create a file in") && message.contains("set write = \"inplace\""), "{message}");
    set_mode(bench.directory.path(), 0o700);
}
