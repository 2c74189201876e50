use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::*;
use crate::config::TemplateConfig;
use crate::decide::Stage;
use crate::decide::publication::Outcome;

const LIMITS: HistoryConfig = HistoryConfig { generations: 3, max_size: 1 << 20 };

fn open(dir: &Path) -> Trail {
    Trail::open(dir, LIMITS, Access::ReadWrite)
}

fn file(template: &str, change: Change, text: &str) -> FileChange {
    FileChange {
        template: Arc::from(template),
        dest: PathBuf::from(format!("/etc/{template}")),
        change,
        bytes: Arc::from(text.as_bytes()),
        took_ms: Some(3),
        views: Vec::new(),
        checked: false,
        restores: None,
        batch: None,
        had: None,
    }
}

fn write(trail: &mut Trail, template: &str, text: &str) -> u64 {
    trail.add_file(file(template, Change::Written, text));
    trail.prune();
    trail.next - 1
}

fn event(event: &Event) -> Draft {
    Draft::new(event).unwrap()
}

fn refused(template: &str, reason: &str) -> Draft {
    let failure = crate::decide::Failure::new(Stage::Refused, reason);
    let outcome = Outcome::Failed(failure);
    event(&outcome.event(Arc::from(template), PathBuf::from("/etc/x"), Some(fastrand::u64(..))))
}

/// The numbers of the generations whose content can be read.
fn kept(trail: &Trail) -> Vec<u64> {
    trail.entries().map(|entry| entry.number).filter(|number| trail.content(*number).is_ok()).collect()
}

#[test]
fn entries_and_contents_are_read_again_after_a_restart() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut trail = open(dir.path());
    assert_eq!(write(&mut trail, "t", "a\nb\n"), 1);
    assert_eq!(write(&mut trail, "t", "a\nc\n"), 2);
    trail.add_event(event(&Event::Resumed { uid: 7 }));
    let again = open(dir.path());
    assert_eq!(again.entries().collect::<Vec<_>>(), trail.entries().collect::<Vec<_>>());
    let diff = again.get(2).unwrap().diff.clone().unwrap();
    assert!(diff.contains("-b\n+c\n"), "{diff}");
    assert_eq!(again.diff(2, 1).unwrap(), unified_diff(Some(b"a\nc\n"), b"a\nb\n", Path::new("/etc/t")));
    assert_eq!(again.get(3).unwrap().fields, json!({"uid": 7}).as_object().unwrap().clone());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("history")), 0o700);
    for stored in fs::read_dir(dir.path().join("history")).unwrap() {
        assert_eq!(mode(&stored.unwrap().path()), 0o600);
    }
}

#[test]
fn a_content_that_was_found_is_recorded_only_if_it_is_new() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut trail = open(dir.path());
    for (change, text, wanted) in [
        (Change::Found, "a", 1),
        (Change::Found, "a", 1),
        (Change::Written, "b", 2),
        (Change::Found, "b", 2),
        // Written again: another process had changed the file.
        (Change::Written, "b", 3),
        (Change::Found, "a", 4),
    ] {
        trail.add_file(file("t", change, text));
        assert_eq!(trail.entries().count(), wanted, "{change:?} {text}");
    }
}

#[test]
fn the_last_contents_of_each_template_are_kept_as_far_as_they_fit() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut trail = open(dir.path());
    for n in 0..5 {
        write(&mut trail, "a", &format!("a{n}"));
        write(&mut trail, "b", &format!("b{n}"));
    }
    assert_eq!(kept(&trail), [5, 6, 7, 8, 9, 10]);
    assert_eq!(trail.content(1).unwrap_err(), NoContent::Pruned);
    // The same content again is stored once.
    write(&mut trail, "a", "a4");
    assert_eq!(kept(&trail), [6, 7, 8, 9, 10, 11]);
    // The last content of each template comes first.
    trail.set_limits(HistoryConfig { max_size: 6, ..LIMITS });
    trail.prune();
    assert_eq!(kept(&trail), [8, 9, 10, 11]);
    let stored = fs::read_dir(dir.path().join("history")).unwrap().count();
    assert_eq!(stored, 1 + 3, "the entries, and three contents");
    trail.set_limits(HistoryConfig { generations: 0, ..LIMITS });
    trail.prune();
    assert_eq!(kept(&trail), [0; 0]);
    assert_eq!(kept(&open(dir.path())), [0; 0]);
}

#[test]
fn the_trail_is_bounded_and_keeps_the_entries_of_contents() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut trail = open(dir.path());
    let rare = write(&mut trail, "rare", "once");
    let long = "x".repeat(70).repeat(40);
    for n in 0..3000 {
        trail.add_event(refused(&format!("t{n}"), &long));
        if n % 100 == 0 {
            trail.prune();
        }
    }
    trail.prune();
    let count = trail.entries().count();
    let bytes: usize = trail.entries.values().map(|(_, size)| size).sum();
    assert!(count <= MAX_ENTRIES + 1 && bytes <= MAX_BYTES + 1000, "{count} entries, {bytes} bytes");
    assert!(trail.get(rare).is_some() && trail.content(rare).is_ok());
    trail.set_limits(HistoryConfig { generations: 0, ..LIMITS });
    for n in 0..MAX_ENTRIES {
        trail.add_event(refused(&format!("u{n}"), "no"));
    }
    trail.prune();
    assert!(trail.get(rare).is_none() && trail.latest.is_empty(), "nothing is left of it in memory");
    for n in 0..1000 {
        trail.add_file(file(&format!("t{n}"), Change::Refused, "poison"));
    }
    assert!(trail.refused.len() <= MAX_REFUSED);
    trail.set_limits(LIMITS);
    let rare = write(&mut trail, "rare", "once");
    let size = fs::metadata(dir.path().join("history/entries")).unwrap().len();
    assert!(size <= 3 * MAX_BYTES as u64, "{size}");
    assert!(open(dir.path()).get(rare).is_some());
}

#[test]
fn an_event_that_repeats_is_counted() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut trail = open(dir.path());
    let repeats = |trail: &Trail| -> Vec<Option<u32>> {
        trail.entries().map(|entry| entry.repeated.map(|(times, _)| times)).collect()
    };
    for n in 0..3 {
        trail.add_event(refused("t", "no"));
        trail.add_event(refused("u", &format!("check \"grep x /etc/.rosterd-1-{n}.tmp\": no")));
    }
    assert_eq!(repeats(&trail), [Some(3), Some(3)]);
    for n in 0..3 {
        trail.add_event(event(&Event::RequestRefused { uid: 7, request: format!("pause, because of {n}") }));
    }
    assert_eq!(repeats(&trail), [Some(3), Some(3), Some(3)], "whatever a client without rights asks");
    // Another reason, and something else in between.
    trail.add_event(refused("t", "other"));
    trail.add_event(refused("t", "no"));
    write(&mut trail, "t", "a");
    trail.add_event(refused("t", "no"));
    assert_eq!(repeats(&trail), [Some(3), Some(3), Some(3), None, None, None, None]);
    assert_eq!(repeats(&open(dir.path())), repeats(&trail));
}

#[test]
fn a_refused_content_is_shown_as_a_diff() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut trail = open(dir.path());
    write(&mut trail, "t", "a\n");
    trail.add_file(file("t", Change::Refused, "poison\n"));
    trail.add_event(refused("t", "line 1: poison"));
    let entry = trail.get(2).unwrap();
    assert!(entry.diff.as_ref().unwrap().contains("-a\n+poison\n"), "{entry:?}");
    assert_eq!(kept(&trail), [1], "a refused content is no generation");
}

#[test]
fn damage_costs_only_what_is_damaged() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut trail = open(dir.path());
    for text in ["a", "b", "c"] {
        write(&mut trail, "t", text);
    }
    let entries = dir.path().join("history/entries");
    let written = fs::read_to_string(&entries).unwrap();
    // A line that is still being written is not there yet.
    fs::write(&entries, &written[..written.len() - 5]).unwrap();
    assert_eq!(Trail::open(dir.path(), LIMITS, Access::ReadOnly).entries().count(), 2);
    let damaged = written.replacen("file_written", "file_Written", 1);
    fs::write(&entries, damaged).unwrap();
    let stored = dir.path().join("history").join(sha256(b"b"));
    fs::write(stored, "B").unwrap();
    let mut trail = open(dir.path());
    assert_eq!(trail.entries().map(|entry| entry.number).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(trail.content(2).unwrap_err(), NoContent::Unreadable("the stored content is damaged".to_owned()));
    assert_eq!(write(&mut trail, "t", "b"), 4, "a number is not used again");
    assert_eq!(kept(&trail), [2, 3, 4], "the content is stored again");
}

#[test]
fn the_generations_of_a_unit_are_found_together() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut trail = open(dir.path());
    let mut put = |template, text, batch| {
        trail.add_file(FileChange { batch, ..file(template, Change::Written, text) });
        trail.next - 1
    };
    let (a1, b1) = (put("a", "a1", Some(1)), put("b", "b1", Some(1)));
    let a2 = put("a", "a2", Some(2));
    let (b3, a3) = (put("b", "b3", Some(3)), put("a", "a3", Some(3)));
    let with = |number| trail.together_with(trail.get(number).unwrap(), "b");
    assert_eq!([a1, a2, a3].map(with), [Some(b1), Some(b1), Some(b3)]);
    let restored = |template: &str, text: &str| {
        FileChange::restored(&TemplateConfig::new(template, "x.tera", "/etc/x"), text.into(), 4)
    };
    trail.add_file(restored("a", "a2"));
    let a4 = trail.next - 1;
    trail.add_file(restored("b", "b1"));
    assert_eq!(trail.together_with(trail.get(a4).unwrap(), "b"), Some(a4 + 1), "not the failed one before");
    assert_eq!(trail.together_with(trail.get(a1).unwrap(), "never"), None);
}

/// A batch writes a, b, and a new c, and finds that d is already as it should be. The old and e had a generation before.
#[test]
fn what_a_unit_replaced_is_found_together() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut trail = open(dir.path());
    let mut put = |change: FileChange| {
        trail.add_file(change);
        trail.next - 1
    };
    let found = |template: &str| {
        let config = TemplateConfig::new(template, "x.tera", "/etc/x");
        FileChange::found(&config, Arc::from(*b"by hand"), ModeAndOwner::default(), Some(7))
    };
    let in_batch = |template, change| FileChange { batch: Some(7), ..file(template, change, "rendered") };
    let e1 = put(file("e", Change::Written, "before"));
    let e2 = put(in_batch("e", Change::Written));
    let (a1, a2) = (put(found("a")), put(in_batch("a", Change::Written)));
    let (b1, b2) = (put(found("b")), put(in_batch("b", Change::Written)));
    let c2 = put(in_batch("c", Change::Written));
    let d2 = put(in_batch("d", Change::Found));
    for (number, wanted) in [
        (a1, [Some(a1), Some(b1), None, Some(d2), Some(e1)]),
        (b1, [Some(a1), Some(b1), None, Some(d2), Some(e1)]),
        (a2, [Some(a2), Some(b2), Some(c2), Some(d2), Some(e2)]),
        (b2, [Some(a2), Some(b2), Some(c2), Some(d2), Some(e2)]),
        (d2, [Some(a2), Some(b2), Some(c2), Some(d2), Some(e2)]),
    ] {
        let entry = trail.get(number).unwrap();
        assert_eq!(["a", "b", "c", "d", "e"].map(|mate| trail.together_with(entry, mate)), wanted, "{number}");
    }
}

#[test]
fn the_mode_of_what_was_in_place_is_known_until_the_same_is_rendered() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut trail = open(dir.path());
    let config = TemplateConfig::new("t", "x.tera", "/etc/t");
    let had = ModeAndOwner { mode: Some(0o600), owner: Some(7), group: Some(8) };
    trail.add_file(FileChange::found(&config, Arc::from(*b"secret"), had, None));
    write(&mut trail, "t", "rendered");
    trail.add_file(FileChange { restores: Some(1), ..file("t", Change::Written, "secret") });
    trail.add_file(FileChange::restored(&config, b"secret".to_vec(), 4));
    write(&mut trail, "t", "secret");
    let had_of = |number| trail.had(number);
    assert_eq!([1, 2, 3, 4, 5, 6].map(had_of), [Some(had), None, Some(had), Some(had), None, None]);
}

#[test]
fn long_texts_are_cut() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut trail = open(dir.path());
    let lines = |prefix: &str| (0..5000).fold(String::new(), |text, n| text + &format!("{prefix}{n}\n"));
    write(&mut trail, "t", &lines("a"));
    write(&mut trail, "t", &lines("b"));
    let diff = trail.get(2).unwrap().diff.clone().unwrap();
    assert!(diff.len() < MAX_DIFF + 100 && diff.ends_with(" more lines\n"), "{}", diff.len());
    trail.add_event(refused("t", &"x".repeat(100_000)));
    assert!(trail.get(3).unwrap().fields["reason"].as_str().unwrap().len() < 10_000);
}

#[test]
fn every_recorded_event_exists() {
    let known: BTreeSet<&str> = Event::KINDS.iter().map(|kind| kind.name).collect();
    let recorded = super::super::entry::RECORDED;
    assert!(recorded.is_sorted());
    assert!(recorded.iter().all(|name| known.contains(name)), "{recorded:?}");
}

#[test]
fn a_disk_without_space_costs_only_the_history() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut trail = open(dir.path());
    write(&mut trail, "t", "a");
    // Nothing can be created or appended below a file.
    fs::remove_dir_all(dir.path().join("history")).unwrap();
    fs::write(dir.path().join("history"), "").unwrap();
    write(&mut trail, "t", "b");
    trail.add_event(event(&Event::Resumed { uid: 7 }));
    assert_eq!(trail.entries().count(), 3, "it stays in memory");
    fs::remove_file(dir.path().join("history")).unwrap();
    write(&mut trail, "t", "c");
    assert_eq!(open(dir.path()).entries().count(), 4, "and is written later");
}
