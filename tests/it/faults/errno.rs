//! Any system call on a file fails with any error: the destination stays the same file, no temporary file is left, and
//! the next pass completes the change.
//!
//! The calls are those at which agents are killed in `kill`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::kill::{
    BACKED_UP, OF_A_UNIT, Point, ProgramEffect, REMOVAL, ROLLBACK, SHORTENED, UPDATE, record, staged, strace,
};
use crate::harness::site::Site;

/// Error codes in strace's notation.
const REASONS: [&str; 8] = ["ENOSPC", "EROFS", "EDQUOT", "EIO", "EBUSY", "EXDEV", "EPERM", "EMFILE"];

/// An update of a file that has an extended attribute.
const CARRIED: ProgramEffect = ProgramEffect {
    change: |site| {
        (UPDATE.change)(site);
        xattr::set(site.path("out/list"), "user.origin", b"by hand").unwrap();
    },
    ..UPDATE
};

/// Runs a pass in which the call at a point fails. Returns its exit code.
fn refuse(site: &Site, point: &Point, reason: &str) -> i32 {
    let code = strace(site, &point.options(site, &format!("error={reason}"))).code();
    let trace = site.read("trace");
    assert!(trace.contains("(INJECTED)"), "{point:?} was not reached:\n{trace}");
    code.expect("an exit code")
}

/// Whether the file cannot be replaced without the call. Reading, cleaning up and saving state are not necessary.
fn is_needed(point: &Point) -> bool {
    let Point { call, path, nth, .. } = point;
    match path.as_str() {
        "" => true,
        // The first calls look for leftover files.
        "out" => *nth > if call == "openat2" { 2 } else { 1 },
        "state/journal" => matches!(call.as_str(), "write" | "fsync") || *nth > 1,
        _ => false,
    }
}

#[test]
fn a_file_is_unchanged_when_any_call_fails() {
    let (site, points) = record(&CARRIED);
    let placed = points.iter().position(|point| point.call == "renameat").unwrap();
    // The calls after the journal entry and the sync of the directory only save state.
    let last = points.iter().rposition(|point| point.call == "fsync").unwrap();
    let (mut refused, mut calls, mut borne) = (0, 0, 0);
    for (at, point) in points.iter().enumerate().filter(|(_, point)| !point.is_staged_write) {
        let needed = is_needed(point) && at <= last;
        let count = crate::support::random::count(if needed { 1 } else { usize::from(at % 5 == 0) }, REASONS.len());
        calls += usize::from(count > 0);
        for reason in REASONS.iter().cycle().skip(at).take(count) {
            refused += 1;
            CARRIED.set(&site);
            let old = site.fingerprint("out/list");
            let name = format!("{reason} for {point:?} ({at})");
            let code = refuse(&site, point, reason);
            if code == 0 {
                // A seccomp filter may refuse openat2. The directory is then opened in another way.
                let is_filtered = point.call == "openat2" && *reason == "EPERM";
                assert!(!needed || is_filtered, "{name}: the failure was not noticed");
                CARRIED.check(&site, &name);
                borne += 1;
            } else {
                // A file that may be a pause, or pins, counts as a pause.
                let is_pause = ["state/pause.json", "state/pins.json"].contains(&&*point.path);
                assert_eq!(code, if is_pause { 3 } else { 1 }, "{name}");
                if at <= placed {
                    assert_eq!(site.fingerprint("out/list"), old, "{name}");
                } else {
                    assert_eq!(site.read("out/list"), CARRIED.right[0].1, "{name}");
                }
            }
            assert!(staged(&site).is_empty(), "{name}: {:?} is left", staged(&site));
            site.run(&["render"]).expect(0);
            CARRIED.check(&site, &name);
        }
    }
    println!("{refused} refusals of {calls} calls of {}, of which {borne} kept nothing from being done", points.len());
}

/// The files of a site that software reads, each with its inode.
fn files(site: &Site) -> BTreeMap<PathBuf, (u64, String)> {
    let out = site.path("out");
    let own = site.tree().into_keys().filter(|path| path.starts_with(&out) && path.is_file());
    let shown = own.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
    let what = |path: &PathBuf| {
        let name = path.strip_prefix(site.path("")).unwrap().to_str().unwrap();
        (site.fingerprint(name).0, site.read(name))
    };
    shown.map(|path| (path.clone(), what(&path))).collect()
}

/// Lets the calls of an operation fail, one at a time. Files that were not replaced are unchanged, and replaced ones
/// are complete. The pass reports a failure or has done everything, and the next pass corrects the rest.
fn bears_refusals(deed: &ProgramEffect) {
    let (site, points) = record(deed);
    let is_overwritten = deed.config.contains("inplace");
    let (mut refused, mut borne, apart) = (0, 0, crate::support::random::count(6, 1));
    for (at, point) in points.iter().enumerate().filter(|(at, point)| !point.is_staged_write && at % apart == 0) {
        for reason in REASONS.iter().cycle().skip(at / apart).take(crate::support::random::count(1, REASONS.len())) {
            refused += 1;
            deed.set(&site);
            let old = files(&site);
            let name = format!("{}, {reason} for {point:?} ({at})", deed.name);
            let code = refuse(&site, point, reason);
            let now = files(&site);
            if code == 0 {
                // Without the record of files this pass does not know which other files belong to the agent, and a file
                // that cannot be removed stays.
                if point.path != "state/files" && !point.call.starts_with("unlink") {
                    deed.check(&site, &name);
                }
                borne += 1;
            } else {
                let is_pause = ["state/pause.json", "state/pins.json"].contains(&&*point.path);
                assert_eq!(code, if is_pause { 3 } else { 1 }, "{name}");
                for (path, (inode, text)) in &now {
                    let right = deed.right.iter().any(|(right, text_of)| path.ends_with(right) && text == text_of);
                    let same = old.get(path).is_some_and(|old| *old == (*inode, text.clone()));
                    // A rolled-back version was in place, and an overwritten file may be incomplete.
                    assert!(right || same || deed.fails || is_overwritten, "{name}: {now:?} of {old:?}");
                }
                assert!(old.keys().all(|path| now.contains_key(path) || code == 1), "{name}: {now:?} of {old:?}");
            }
            // The staged file of an interrupted overwrite is kept, as is one that could not be removed.
            let waits = is_overwritten && now != old || point.call.starts_with("unlink");
            assert!(staged(&site).is_empty() || waits, "{name}: {:?} is left", staged(&site));
            site.run(&["render"]).expect(i32::from(deed.fails));
            deed.check(&site, &name);
        }
    }
    println!("{}: {refused} refusals, of which {borne} kept nothing from being done", deed.name);
}

#[test]
fn an_update_with_a_backup_survives_failing_calls() {
    bears_refusals(&BACKED_UP);
}

#[test]
fn a_removal_survives_failing_calls() {
    bears_refusals(&REMOVAL);
}

#[test]
fn the_update_of_a_unit_survives_failing_calls() {
    bears_refusals(&OF_A_UNIT);
}

#[test]
fn a_rollback_survives_failing_calls() {
    bears_refusals(&ROLLBACK);
}

#[test]
fn an_overwrite_survives_failing_calls() {
    bears_refusals(&SHORTENED);
}

/// A fixed case, because a sample may miss it: the record decides which files are removed.
#[test]
fn a_removal_is_made_later_if_the_record_of_files_was_unreadable() {
    let reads = Point { call: "openat".into(), path: "state/files".into(), nth: 1, is_staged_write: false };
    for reason in REASONS.iter().take(crate::support::random::count(1, REASONS.len())) {
        let site = REMOVAL.scene();
        // Another key is added at the same time, and its file is recorded.
        site.file("registry/services/c/3:3", "");
        refuse(&site, &reads, reason);
        site.run(&["render"]).expect(0);
        assert!(!site.path("out/a").exists(), "{reason}: this agent wrote it");
        assert!(site.path("out/c").exists(), "{reason}");
        fs::remove_dir_all(site.path("registry/services/c")).unwrap();
        site.run(&["render"]).expect(0);
        assert!(!site.path("out/c").exists(), "{reason}");
    }
}

/// Two files with a reload each. The first reload fails until a file `ready` exists.
const TWO: &str = r#"
[registry]
url = "dir:registry"

[[roster]]
name = "web"
path = "/web"
wait = "0s:0s"

[[roster]]
name = "db"
path = "/db"
wait = "0s:0s"

[[template]]
src = "web.tera"
dest = "out/web"
reload_cmd = "test -e SITE/ready && cp SITE/out/web SITE/taken"

[[template]]
src = "db.tera"
dest = "out/db"
reload_cmd = "true"
"#;

#[test]
fn no_pending_reload_is_lost_with_an_unreadable_journal() {
    let reads = Point { call: "openat".into(), path: "state/journal".into(), nth: 1, is_staged_write: false };
    for reason in REASONS.iter().take(crate::support::random::count(1, REASONS.len())) {
        let site = Site::new(TWO);
        for name in ["web", "db"] {
            site.file(&format!("templates/{name}.tera"), &format!("{{{{ {name} | length }}}}\n"));
            site.file(&format!("registry/{name}/a:1"), "");
        }
        site.run(&["render"]).expect(1);
        site.file("ready", "").file("registry/db/b:1", "");
        // The other file is recorded in a new journal.
        refuse(&site, &reads, reason);
        site.run(&["render"]).expect(0);
        assert_eq!((&*site.read("taken"), &*site.read("out/db")), ("1\n", "2\n"), "{reason}");
    }
}
