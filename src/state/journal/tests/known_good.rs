//! What reloads confirm, and which version is restored.

use super::*;

/// A journal with files and their reloads. The copy of each version is its number.
struct Kept {
    dir: TempDir,
    journal: Journal,
    runs: RunningReloads,
}

impl Kept {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let (mut journal, runs) = (open(&dir), RunningReloads::default());
        journal.share_reloads(&runs);
        Self { dir, journal, runs }
    }

    /// Replaces files by their next version.
    fn replace(&mut self, unit: Option<&str>, files: &[(&str, bool)]) {
        let entries = files.iter().map(|(name, owes)| {
            let was = self.journal.entries.get(&key(name)).and_then(|entry| entry.new).unwrap_or(0);
            let text = format!("{name}{was}").into_bytes();
            let before = PreviousFile { bytes: text, mode: 0o644, uid: 0, gid: 0 };
            let NewCopies { saved, candidate } = self.journal.save(&key(name), Some(&before)).unwrap();
            let mut entry = Entry { saved, candidate, ..entry(name, Some(was), Some(self.journal.last_batch + 1)) };
            entry.owner.unit = unit.map(Into::into);
            entry.owner.pending_reload = entry.owner.pending_reload.filter(|_| *owes);
            entry
        });
        let entries = entries.collect();
        self.journal.record(entries).unwrap();
        self.journal.remove_idle();
    }

    fn begin(&self, names: &[&str]) -> ReloadRun {
        self.runs.begin(names.iter().map(|name| key(name)).collect(), self.journal.last_batch)
    }

    fn end(&mut self, run: &ReloadRun) {
        let (keys, up_to) = run.covers();
        self.journal.reload_succeeded(&keys, up_to);
    }

    /// The versions that would be restored.
    fn is_known_good(&self, names: &[&str]) -> Vec<String> {
        is_known_good(&self.journal, names)
    }
}

fn is_known_good(journal: &Journal, names: &[&str]) -> Vec<String> {
    let of = |name: &&str| journal.saved(&key(name)).unwrap().map(|before| before.unwrap().bytes);
    names.iter().map(|name| of(name).map_or("-".into(), |bytes| String::from_utf8(bytes).unwrap())).collect()
}

#[test]
fn a_version_confirmed_after_its_replacement_is_the_one_to_restore() {
    let mut kept = Kept::new();
    kept.replace(None, &[("a", true)]);
    let first = kept.begin(&["a"]);
    kept.replace(None, &[("a", true)]);
    kept.replace(None, &[("a", true)]);
    assert_eq!(kept.is_known_good(&["a"]), ["a0"]);
    kept.end(&first);
    assert_eq!(kept.is_known_good(&["a"]), ["a1"], "the first of three was good");
    assert_eq!(is_known_good(&open(&kept.dir), &["a"]), ["a1"], "as the next agent knows");
    // A failed reload confirms nothing, and a successful one only what was in place when it began.
    drop(kept.begin(&["a"]));
    let other = kept.begin(&["b"]);
    kept.replace(None, &[("a", true)]);
    kept.end(&other);
    assert_eq!(kept.is_known_good(&["a"]), ["a1"]);
    let last = kept.begin(&["a"]);
    kept.end(&last);
    assert_eq!(kept.is_known_good(&["a"]), ["-"]);
    assert_eq!(fs::read_dir(kept.dir.path().join("saved")).unwrap().count(), 0);
}

#[test]
fn a_unit_is_restored_to_what_all_its_reloads_confirmed() {
    let all = ["a", "b", "c"];
    let mut kept = Kept::new();
    kept.replace(Some("edge"), &[("a", true), ("b", true), ("c", false)]);
    let (a, b) = (kept.begin(&["a"]), kept.begin(&["b"]));
    kept.replace(Some("edge"), &[("a", true), ("c", false)]);
    kept.end(&a);
    assert_eq!(kept.is_known_good(&all), ["a0", "b0", "c0"], "b's reload may fail yet");
    kept.end(&b);
    assert_eq!(kept.is_known_good(&all), ["a1", "-", "c1"], "b keeps its confirmed version");
    kept.replace(Some("edge"), &[("b", true)]);
    assert_eq!(kept.is_known_good(&all), ["a1", "b0", "c1"]);
}

#[test]
fn the_copy_of_a_unit_file_without_a_reload_is_kept_until_the_unit_is_confirmed() {
    let mut kept = Kept::new();
    kept.replace(Some("edge"), &[("c", false)]);
    kept.replace(Some("edge"), &[("a", true)]);
    assert_eq!(kept.is_known_good(&["a", "c"]), ["a0", "c0"]);
    let run = kept.begin(&["a"]);
    kept.end(&run);
    assert_eq!((kept.is_known_good(&["a", "c"]), known(&kept.journal)), (vec!["-".into(), "-".into()], vec![]));
}

#[test]
fn a_journal_of_a_newer_version_is_renamed() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(NAME);
    fs::write(&file, "rosterd journal 2\nwhatever\n").unwrap();
    assert!(matches!(Journal::open(dir.path()).1, Some(why) if why.contains("journal.newer")));
    fs::create_dir(&file).unwrap();
    assert!(matches!(Journal::open(dir.path()).1, Some(why) if why.contains("journal.unread1")));
}

#[test]
fn reloads_in_any_order_confirm_the_current_versions_only() {
    let mut kept = Kept::new();
    kept.replace(Some("u"), &[("a", true), ("b", true)]);
    let of_b = kept.begin(&["b"]);
    // The reload of the first failed; that of the second includes its current version.
    kept.replace(Some("u"), &[("a", true)]);
    let of_a = kept.begin(&["a"]);
    kept.end(&of_a);
    assert_eq!(kept.is_known_good(&["a", "b"]), ["a0", "b0"], "b may still fail");
    kept.end(&of_b);
    assert!(kept.journal.entries().next().is_none(), "every current version was loaded");
    assert!(open(&kept.dir).entries().next().is_none());
}
