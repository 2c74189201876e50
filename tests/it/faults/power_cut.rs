//! A power cut: synced data is on the disk, and any part of the rest may be. The file is then the old or the new one,
//! and software loads it after the next start.
//!
//! The model is a disk that guarantees only what `fsync(2)` promises. A pass is recorded under strace, and repeated on
//! the model call by call. After each call, every state in which the disk may be after a power cut is created, and the
//! next pass runs on it. Additional guarantees of file systems (ext4 preserves more names) are not used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::kill::{
    BACKED_UP, CALLS, FIRST, OF_A_UNIT, ProgramEffect, REMOVAL, ROLLBACK, SHORTENED, TAKEN_AWAY, UPDATE, strace,
};
use crate::harness::site::Site;

/// Names of files and directories, relative to the site, and the index of each file.
type Names = BTreeMap<String, usize>;

/// The contents of a disk by name; a directory has no bytes.
type Found = BTreeMap<String, Option<Vec<u8>>>;

/// The maximum number of unsynced changes of names at one moment.
const MANY: usize = 10;

#[derive(Debug, Default, Clone)]
struct File {
    is_folder: bool,
    now: Vec<u8>,
    synced: Vec<u8>,
    /// The position of the last descriptor that was opened.
    at: usize,
}

/// A change in a directory.
#[derive(Debug, Clone)]
enum Change {
    Made(String, usize),
    Gone(String),
    Renamed(String, String),
    /// Both files exchange their names.
    Exchanged([(String, usize); 2]),
}

impl File {
    fn write(&mut self, bytes: &[u8]) {
        let over = self.now.len().min(self.at + bytes.len());
        self.now.splice(self.at..over, bytes.iter().copied());
        self.at += bytes.len();
    }
}

impl Change {
    fn name(&self) -> &str {
        let (Self::Made(name, _) | Self::Gone(name) | Self::Renamed(name, _) | Self::Exchanged([(name, _), _])) = self;
        name
    }

    fn make(&self, names: &mut Names) {
        match self {
            Self::Made(name, file) => _ = names.insert(name.clone(), *file),
            Self::Gone(name) => _ = names.remove(name),
            Self::Renamed(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Exchanged(new) => names.extend(new.clone()),
        }
    }
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The files as processes see them, and as they are on the disk.
#[derive(Debug, Default)]
struct Disk {
    files: Vec<File>,
    now: Names,
    synced: Names,
    /// In their order.
    changes: Vec<Change>,
}

impl Disk {
    /// Everything that exists, as synced.
    fn of(found: &Found) -> Self {
        let mut disk = Self::default();
        for (name, bytes) in found {
            let kept = bytes.clone().unwrap_or_default();
            disk.files.push(File { is_folder: bytes.is_none(), now: kept.clone(), synced: kept, at: 0 });
            disk.now.insert(name.clone(), disk.files.len() - 1);
        }
        disk.synced = disk.now.clone();
        disk
    }

    fn change(&mut self, change: Change) {
        change.make(&mut self.now);
        self.changes.push(change);
    }

    fn make(&mut self, name: &str, is_folder: bool) {
        if !self.now.contains_key(name) {
            self.files.push(File { is_folder, ..File::default() });
            self.change(Change::Made(name.to_owned(), self.files.len() - 1));
        }
    }

    fn file(&mut self, name: &str) -> Option<&mut File> {
        self.now.get(name).map(|file| &mut self.files[*file])
    }

    fn sync(&mut self, name: &str) {
        match self.file(name) {
            Some(file) if !file.is_folder => file.synced = file.now.clone(),
            _ => {
                let (done, open) =
                    std::mem::take(&mut self.changes).into_iter().partition(|it| folder_of(it.name()) == name);
                self.changes = open;
                let done: Vec<Change> = done;
                for change in &done {
                    change.make(&mut self.synced);
                }
            }
        }
    }

    /// Repeats a call.
    fn call(&mut self, call: &Call) {
        let Call { name, arguments, .. } = call;
        let (first, second) = (call.path(0), call.path(1));
        match (name.as_str(), first, second) {
            ("open" | "openat", _, Some(path)) => {
                if arguments.contains("O_CREAT") {
                    self.make(&path, false);
                }
                if arguments.contains("O_TRUNC")
                    && let Some(file) = self.file(&path)
                {
                    file.now.clear();
                }
                if let Some(file) = self.file(&path) {
                    file.at = if arguments.contains("O_APPEND") { file.now.len() } else { 0 };
                }
            }
            ("ftruncate", Some(path), _) => {
                let length = arguments.trim_end_matches(')').rsplit(", ").next().unwrap().parse().unwrap();
                self.file(&path).into_iter().for_each(|file| file.now.resize(length, 0));
            }
            ("write", Some(path), _) => {
                let bytes = call.bytes();
                self.file(&path).into_iter().for_each(|file| file.write(&bytes));
            }
            // `cat` uses this if it can.
            ("copy_file_range", Some(from), _) => {
                let bytes = self.file(&from).map(|file| file.now.clone()).unwrap_or_default();
                call.path(2).and_then(|to| self.file(&to)).into_iter().for_each(|file| file.write(&bytes));
            }
            ("fsync" | "fdatasync", Some(path), _) => self.sync(&path),
            ("mkdir", Some(path), _) => self.make(&path, true),
            ("unlink", Some(path), _) | ("unlinkat", _, Some(path)) => self.change(Change::Gone(path)),
            ("rename", Some(from), Some(to)) => self.change(Change::Renamed(from, to)),
            ("renameat", Some(from), _) => self.change(Change::Renamed(from, call.path(2).unwrap())),
            ("renameat2", Some(from), _) => {
                assert!(arguments.contains("RENAME_EXCHANGE"), "{arguments}");
                let to = call.path(2).unwrap();
                let (a, b) = (self.now[&from], self.now[&to]);
                self.change(Change::Exchanged([(from, b), (to, a)]));
            }
            _ => {}
        }
    }

    /// All states of the disk that are possible after a power cut now, without the state that is only saved for
    /// convenience.
    fn cuts(&self) -> Vec<Found> {
        let asked = ["state/journal", "state/saved", "state/files"];
        let is_asked = |name: &str| !name.starts_with("state/") || asked.iter().any(|asked| name.starts_with(asked));
        let changes: Vec<&Change> = self.changes.iter().filter(|change| is_asked(change.name())).collect();
        assert!(changes.len() <= MANY, "{changes:?}");
        let mut cuts = Vec::new();
        for chosen in 0..1_usize << changes.len() {
            let mut names = self.synced.clone();
            for (_, change) in changes.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1) {
                change.make(&mut names);
            }
            names.retain(|name, _| is_asked(name));
            // Of unsynced bytes none, some or all may be on the disk.
            for part in 0..3 {
                cuts.push(self.found(&names, part));
            }
        }
        cuts
    }

    fn found(&self, names: &Names, part: usize) -> Found {
        let is_there = |name: &str| folder_of(name).is_empty() || names.contains_key(folder_of(name));
        let bytes = |file: &File| {
            let File { is_folder, now, synced, .. } = file;
            let most = now.starts_with(synced).then(|| synced.len() + (now.len() - synced.len()) * part / 2);
            let all = if part == 0 { synced.clone() } else { now[..most.unwrap_or(now.len() * part / 2)].to_vec() };
            (!is_folder).then_some(all)
        };
        let there = names.iter().filter(|(name, _)| is_there(name));
        there.map(|(name, file)| (name.clone(), bytes(&self.files[*file]))).collect()
    }
}

/// A call that succeeded.
#[derive(Debug)]
struct Call {
    name: String,
    arguments: String,
    /// The site.
    top: String,
}

impl Call {
    /// All calls of a trace, in the order in which they ended.
    fn all(trace: &str, site: &Site) -> Vec<Self> {
        let top = site.path("").display().to_string();
        let (mut begun, mut calls) = (BTreeMap::new(), Vec::new());
        for line in trace.lines() {
            let (thread, text) = line.split_once(' ').unwrap();
            let text = text.trim_start();
            if let Some(first) = text.strip_suffix(" <unfinished ...>") {
                begun.insert(thread, first.to_owned());
                continue;
            }
            let text = match text.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
                Some((_, rest)) => begun.remove(thread).unwrap() + rest,
                None => text.to_owned(),
            };
            let Some((name, rest)) = text.split_once('(') else { continue };
            let Some((arguments, result)) = rest.rsplit_once(" = ") else { continue };
            let has_ended = name == "copy_file_range" && result == "0";
            if !has_ended && !result.starts_with(['-', '?']) {
                calls.push(Self {
                    name: name.to_owned(),
                    arguments: arguments.trim_end().to_owned(),
                    top: top.clone(),
                });
            }
        }
        calls
    }

    /// The target of the nth argument, relative to the site: a path, a path relative to the directory in the previous
    /// argument, or a descriptor.
    fn path(&self, nth: usize) -> Option<String> {
        let parts: Vec<&str> = self.arguments.trim_end_matches(')').split(", ").collect();
        // Both pairs begin with a directory.
        let at = match (self.name.as_str(), nth) {
            ("renameat" | "renameat2", 0) => 1,
            ("renameat" | "renameat2", 2) => 3,
            _ => nth,
        };
        let is_own = |path: &str| {
            let below = path.strip_prefix(self.top.trim_end_matches('/'))?;
            Some(below.trim_start_matches('/').to_owned())
        };
        let open = |part: &str| part.split_once('<').map(|(_, path)| path.trim_end_matches('>').to_owned());
        let part = parts.get(at)?;
        match part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            None => is_own(&open(part)?),
            Some(path) if path.starts_with('/') => is_own(path),
            Some(name) => {
                let folder = open(parts.get(at.checked_sub(1)?)?)?;
                is_own(&format!("{folder}/{name}"))
            }
        }
    }

    /// The written bytes.
    fn bytes(&self) -> Vec<u8> {
        let text = self.arguments.split_once(", \"").unwrap().1.rsplit_once("\", ").unwrap().0;
        let (mut bytes, mut rest) = (Vec::new(), text.chars());
        while let Some(one) = rest.next() {
            let one = match one {
                '\\' => match rest.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some(other @ ('"' | '\\')) => other,
                    other => panic!("{other:?} is not known in {text}"),
                },
                plain => plain,
            };
            bytes.extend(one.to_string().bytes());
        }
        bytes
    }
}

/// Everything in a site except the trace.
fn found(site: &Site) -> Found {
    let names = ["out", "state", "seen"].map(|name| site.path(name));
    let own = site.tree().into_iter().filter(|(path, _)| names.iter().any(|name| path.starts_with(name)));
    let top = site.path("");
    let name = |path: &std::path::Path| path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned();
    own.map(|(path, bytes)| (name(&path), path.is_file().then_some(bytes))).collect()
}

/// Creates the state of a disk, and what software has loaded.
fn lay_out(site: &Site, found: &Found, seen: &[u8]) {
    for name in ["out", "state"] {
        let _ = fs::remove_dir_all(site.path(name));
    }
    fs::create_dir(site.path("out")).unwrap();
    fs::write(site.path("seen"), seen).unwrap();
    for (name, bytes) in found {
        match bytes {
            None if name == "state" => {
                fs::create_dir(site.path(name)).unwrap();
                fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o700)).unwrap();
            }
            None => fs::create_dir_all(site.path(name)).unwrap(),
            Some(bytes) => fs::write(site.path(name), bytes).unwrap(),
        }
    }
}

fn shown(found: &Found) -> String {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let each: Vec<String> = found.iter().map(|(name, bytes)| format!("{name}: {:?}", text(bytes))).collect();
    each.join("\n")
}

/// What readers see of each file.
fn shown_to_readers(disk: &Found) -> BTreeMap<String, Vec<u8>> {
    let is_own = |name: &str| name.strip_prefix("out/").is_some_and(|name| !name.starts_with(".rosterd-"));
    let files = disk.iter().filter(|(name, _)| is_own(name));
    files.filter_map(|(name, bytes)| Some((name.clone(), bytes.clone()?))).collect()
}

/// Cuts the power after each call of this operation, and lets the next pass restore order. A file that is overwritten
/// may be incomplete until then.
fn survives(deed: &ProgramEffect) {
    let site = deed.scene();
    let before = found(&site);
    let (mut disk, untold) = (Disk::of(&before), site.read("seen").into_bytes());
    let calls = format!("trace={CALLS},copy_file_range");
    let ended = strace(&site, &["-s".into(), "1000000".into(), "-e".into(), calls]);
    assert_eq!(ended.success(), !deed.fails);
    deed.check(&site, "undisturbed");
    let new = shown_to_readers(&found(&site));
    let calls = Call::all(&site.read("trace"), &site);
    // Without overwriting, each version that existed at any time is complete.
    let mut whole: BTreeSet<(String, Option<Vec<u8>>)> = BTreeSet::new();
    let is_overwritten = deed.config.contains("inplace");
    let (mut follower, mut names) = (Disk::of(&before), BTreeSet::new());
    for step in 0..=calls.len() {
        let now = shown_to_readers(&follower.found(&follower.now, 2));
        names.extend(now.keys().cloned());
        if !is_overwritten || [0, calls.len()].contains(&step) {
            whole.extend(names.iter().map(|name| (name.clone(), now.get(name).cloned())));
        }
        calls.get(step).into_iter().for_each(|call| follower.call(call));
    }
    let old = shown_to_readers(&before);
    whole.extend(names.iter().filter(|name| !old.contains_key(*name)).map(|name| (name.clone(), None)));
    let (mut laid_out, mut met, mut is_untold, apart) =
        (BTreeSet::new(), 0, false, crate::support::random::count(2, 1));
    for (at, call) in calls.iter().enumerate() {
        disk.call(call);
        // What software has loaded does not depend on the disk.
        let seen = disk.file("seen").map(|file| file.now.clone()).unwrap_or_default();
        // After a failed reload, software is reloaded once more.
        is_untold |= seen != untold;
        for mut cut in disk.cuts() {
            cut.remove("seen");
            if !laid_out.insert((cut.clone(), seen.clone())) {
                continue;
            }
            let name =
                format!("the power cut after call {at}, {} {}, which left {}", call.name, call.arguments, shown(&cut));
            let now = shown_to_readers(&cut);
            let part = names.iter().find(|name| !whole.contains(&((*name).clone(), now.get(*name).cloned())));
            assert!(is_overwritten || part.is_none(), "{}, {name}: {part:?}", deed.name);
            // What software was reloaded with is durable: it must not find the old file when it restarts.
            let is_told = if deed.fails { is_untold && seen == deed.seen().into_bytes() } else { seen != untold };
            assert!(now == new || !is_told, "{}, {name}: {now:?}", deed.name);
            if laid_out.len() % apart != 0 && part.is_none() {
                continue;
            }
            met += 1;
            lay_out(&site, &cut, &seen);
            if part.is_some() {
                // An interrupted overwrite is finished from the staged file, because the registry is gone.
                fs::rename(site.path("registry"), site.path("away")).unwrap();
                site.run(&["render", "--timeout", "0s"]).expect(4);
                fs::rename(site.path("away"), site.path("registry")).unwrap();
                let mended = shown_to_readers(&self::found(&site));
                assert!(mended == new || mended == old, "{}, {name}: {mended:?}", deed.name);
            }
            site.run(&["render"]).expect(i32::from(deed.fails));
            deed.check(&site, &name);
        }
    }
    // The model agrees with the real disk.
    assert_eq!(shown_to_readers(&disk.found(&disk.now, 2)), new);
    println!("{}: {} disks after {} calls, a pass on {met}", deed.name, laid_out.len(), calls.len());
}

#[test]
fn a_first_write_survives_a_power_cut_at_any_call() {
    survives(&FIRST);
}

#[test]
fn an_update_survives_a_power_cut_at_any_call() {
    survives(&UPDATE);
}

#[test]
fn an_update_with_a_backup_survives_a_power_cut_at_any_call() {
    survives(&BACKED_UP);
}

#[test]
fn a_removal_survives_a_power_cut_at_any_call() {
    survives(&REMOVAL);
}

#[test]
fn the_update_of_a_unit_survives_a_power_cut_at_any_call() {
    survives(&OF_A_UNIT);
}

#[test]
fn a_rollback_survives_a_power_cut_at_any_call() {
    survives(&ROLLBACK);
}

#[test]
fn a_rollback_of_a_new_file_survives_a_power_cut_at_any_call() {
    survives(&TAKEN_AWAY);
}

#[test]
fn an_overwrite_survives_a_power_cut_at_any_call() {
    survives(&SHORTENED);
}
