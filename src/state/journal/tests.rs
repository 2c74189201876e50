use super::saved::SavedCopy;
use super::*;
use crate::config::{Command, OnGone, Reload, TemplateConfig, Verify};
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub mod known_good;

fn template(name: &str) -> TemplateConfig {
    TemplateConfig {
        reload: Some(Reload::Command(Command::Shell(format!("reload {name}")))),
        ..TemplateConfig::new(name, "t", dest(name))
    }
}

fn dest(name: &str) -> PathBuf {
    Path::new("/x").join(name)
}

fn entry(name: &str, old: Option<u64>, new: Option<u64>) -> Entry {
    Entry { old, new, earlier_pending: false, ..Owner::new(&template(name)).pending_entry(dest(name)) }
}

fn key(name: &str) -> Key {
    Key::new(&template(name))
}

fn open(dir: &TempDir) -> Journal {
    let (journal, lost) = Journal::open(dir.path());
    assert_eq!(lost, None);
    journal
}

/// The old and new digest of each file, and whether an earlier reload is pending.
fn known(journal: &Journal) -> Vec<(&str, Option<u64>, Option<u64>, bool)> {
    journal.entries().map(|entry| (&*entry.owner.template, entry.old, entry.new, entry.earlier_pending)).collect()
}

#[test]
fn a_truncated_journal_has_each_batch_completely_or_not_at_all() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    journal.record(vec![entry("a", None, Some(1)), entry("b", Some(2), None)]).unwrap();
    let first = fs::metadata(journal.file()).unwrap().len();
    journal.record(vec![entry("a", Some(1), Some(3)), entry("c", None, Some(4))]).unwrap();
    let rounds = [
        vec![("a", None, Some(1), false), ("b", Some(2), None, false)],
        vec![("a", Some(1), Some(3), true), ("b", Some(2), None, false), ("c", None, Some(4), false)],
    ];
    assert_eq!(known(&journal), rounds[1]);
    let whole = fs::read(journal.file()).unwrap();
    for cut in 0..=whole.len() {
        fs::write(journal.file(), &whole[..cut]).unwrap();
        let (mut journal, lost) = Journal::open(dir.path());
        match known(&journal) {
            known if known == rounds[1] => assert_eq!(cut, whole.len()),
            known if known == rounds[0] => assert!(u64::try_from(cut).unwrap() >= first, "cut at {cut}"),
            known => {
                assert_eq!(known, [], "cut at {cut}");
                assert!(u64::try_from(cut).unwrap() < first, "cut at {cut}: {lost:?}");
            }
        }
        // It continues from there.
        journal.record(vec![entry("d", None, Some(9))]).unwrap();
        assert!(known(&open(&dir)).contains(&("d", None, Some(9), false)), "cut at {cut}");
    }
}

#[test]
fn a_reload_clears_what_was_in_place_when_it_began() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    journal.record(vec![entry("a", None, Some(1)), entry("b", None, Some(1))]).unwrap();
    let mark = journal.last_batch();
    journal.record(vec![entry("b", Some(1), Some(2))]).unwrap();
    journal.reload_succeeded(&[key("a"), key("b"), key("other")], mark);
    let rest = [("b", Some(1), Some(2), true)];
    assert_eq!(known(&journal), rest, "b was replaced while it ran");
    assert_eq!(known(&open(&dir)), rest);
    let last = journal.last_batch();
    journal.reload_succeeded(&[key("b")], last);
    assert_eq!(known(&open(&dir)), []);
}

#[test]
fn templates_with_a_block_in_one_file_have_their_own_pending_reloads() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    let block = |name: &str, old, new| Entry { dest: dest("shared"), ..entry(name, old, new) };
    let key = |name: &str| block(name, None, None).key();
    journal.record(vec![block("a", None, Some(1)), block("b", Some(1), Some(2))]).unwrap();
    journal.record(vec![block("a", Some(2), Some(3))]).unwrap();
    assert_eq!(known(&open(&dir)), [("a", Some(2), Some(3), true), ("b", Some(1), Some(2), false)]);
    journal.withdraw(&[key("a"), key("b")]);
    let last = journal.last_batch();
    journal.reload_succeeded(&[key("a")], last);
    for mut journal in [journal, open(&dir)] {
        assert_eq!(known(&journal), [("b", Some(1), Some(2), false)]);
        journal.reload_succeeded(&[key("b")], last);
        assert_eq!(known(&journal), []);
    }
}

#[test]
fn a_withdrawn_entry_leaves_the_earlier_one() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    journal.record(vec![entry("a", None, Some(1))]).unwrap();
    journal.record(vec![entry("a", Some(1), Some(2)), entry("b", None, Some(2))]).unwrap();
    journal.withdraw(&[key("a"), key("b"), key("c")]);
    for journal in [&journal, &open(&dir)] {
        assert_eq!(known(journal), [("a", None, Some(1), false)]);
    }
}

#[test]
fn an_entry_that_cannot_be_written_is_not_recorded() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    journal.record(vec![entry("a", None, Some(1))]).unwrap();
    fs::remove_file(journal.file()).unwrap();
    // It cannot be started again.
    fs::create_dir(dir.path().join("journal.tmp")).unwrap();
    assert!(journal.record(vec![entry("a", Some(1), Some(2)), entry("b", None, Some(2))]).is_err());
    assert_eq!((known(&journal), journal.last_batch()), (vec![("a", None, Some(1), false)], 1));
    assert!(fs::read_dir(dir.path()).unwrap().count() == 1, "nothing staged is left");
    fs::remove_dir(dir.path().join("journal.tmp")).unwrap();
    journal.record(vec![entry("b", None, Some(3))]).unwrap();
    assert_eq!(
        known(&open(&dir)),
        [("a", None, Some(1), false), ("b", None, Some(3), false)],
        "everything is recorded again"
    );
}

#[test]
fn an_entry_is_enough_to_run_its_reload() {
    let signal = Reload::Signal { signal: "HUP".into(), pid_file: "/run/x.pid".into() };
    let exec = Reload::Command(Command::Exec(vec!["a b".into(), "\"\n".into()]));
    let each = TemplateConfig {
        each: Some(crate::config::Each::new("svc", "services", OnGone::Remove)),
        ..TemplateConfig::new("svc", "t", "/x/{{ key }}.cfg")
    };
    let each = each.for_key(&Arc::from("a")).unwrap();
    let mut templates = vec![template("a")];
    templates.extend([signal, exec].map(|reload| TemplateConfig { reload: Some(reload), ..template("b") }));
    templates.push(TemplateConfig { reload: template("c").reload, ..each });
    let by = |command| Verify { command, timeout: Duration::from_secs(9) };
    let proofs = [Command::Shell("curl x | grep -q y".into()), Command::Exec(vec!["a".into(), "b c".into()])].map(by);
    for (template, verify) in templates.into_iter().zip(proofs.iter().cycle()) {
        let template = TemplateConfig {
            reload_timeout: Duration::from_millis(1500),
            reload_interval: Duration::ZERO,
            reload_retries: Some(3),
            splay: Duration::from_secs(7),
            verify: Some(verify.clone()),
            env: BTreeMap::from([("TZ".into(), "UTC".into())]),
            ..template
        };
        let dir = TempDir::new().unwrap();
        open(&dir).record(vec![Owner::new(&template).pending_entry(template.dest.clone())]).unwrap();
        let debt = open(&dir).entries().next().unwrap().reload_template().unwrap();
        let about = |it: &TemplateConfig| {
            let own = it.file_of().map(|(each, key)| (Arc::clone(&each.template), Arc::clone(key)));
            let terms = (it.reload_timeout, it.reload_interval, it.reload_retries, it.splay, it.verify.clone());
            (Arc::clone(&it.name), it.dest.clone(), it.reload.clone(), terms, it.env.clone(), own)
        };
        assert_eq!(about(&debt), about(&template));
    }
}

#[test]
fn a_unit_is_recorded_while_one_of_its_reloads_is_pending() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    let of = |unit: &str, entry: Entry| Entry { owner: Owner { unit: Some(unit.into()), ..entry.owner }, ..entry };
    let silent = |entry: Entry| Entry { owner: Owner { pending_reload: None, ..entry.owner }, ..entry };
    let [a, b, c] = ["a", "b", "c"].map(|name| entry(name, None, Some(1)));
    journal.record(vec![of("u", a), silent(of("u", b)), silent(of("v", c))]).unwrap();
    journal.remove_idle();
    assert_eq!(known(&journal).iter().map(|it| it.0).collect::<Vec<_>>(), ["a", "b"], "v has no reload");
    journal.reload_succeeded(&[key("a")], 1);
    assert_eq!(known(&open(&dir)), []);
}

#[test]
fn a_copy_is_kept_until_a_reload_succeeds() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    let before = PreviousFile { bytes: b"old\xff".to_vec(), mode: 0o640, uid: 3, gid: 4 };
    let copies = || fs::read_dir(dir.path().join("saved")).map_or(0, Iterator::count);
    let a = journal.save(&key("a"), Some(&before)).unwrap().saved;
    let b = journal.save(&key("b"), None).unwrap().saved;
    assert_eq!(b, Some(SavedCopy::Nothing));
    journal
        .record(vec![
            Entry { saved: a, ..entry("a", Some(1), Some(2)) },
            Entry { saved: b, ..entry("b", None, Some(2)) },
        ])
        .unwrap();
    // A second replacement before the reload: the version to restore is the one whose reload last succeeded.
    let other = PreviousFile { bytes: b"never loaded".to_vec(), ..before.clone() };
    let again = journal.save(&key("a"), Some(&other)).unwrap();
    assert_eq!(again, NewCopies::default());
    journal.record(vec![entry("a", Some(2), Some(3))]).unwrap();
    fs::write(dir.path().join("saved/cut-off"), "").unwrap();
    let mut journal = open(&dir);
    assert_eq!(copies(), 1, "an unused copy is removed");
    assert_eq!(journal.saved(&key("a")).unwrap(), Some(Some(before)));
    assert_eq!(journal.saved(&key("b")).unwrap(), Some(None));
    assert_eq!(journal.saved(&key("c")).unwrap(), None);
    journal.reload_succeeded(&[key("a"), key("b")], 2);
    assert_eq!((journal.saved(&key("a")).unwrap(), copies()), (None, 0));
}

#[test]
fn a_copy_lost_in_a_power_cut_is_not_used() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    let before = |bytes: &str| PreviousFile { bytes: bytes.into(), mode: 0o640, uid: 3, gid: 4 };
    let saved = journal.save(&key("a"), Some(&before("first"))).unwrap().saved;
    journal.record(vec![Entry { saved, ..entry("a", Some(1), Some(2)) }]).unwrap();
    // Its reload succeeded and the copy was removed, but clearing the entry was not synced.
    fs::remove_dir_all(dir.path().join("saved")).unwrap();
    let mut journal = open(&dir);
    assert_eq!(journal.saved(&key("a")).unwrap(), None);
    let saved = journal.save(&key("a"), Some(&before("second"))).unwrap().saved;
    journal.record(vec![Entry { saved, ..entry("a", Some(2), Some(3)) }]).unwrap();
    assert_eq!(open(&dir).saved(&key("a")).unwrap(), Some(Some(before("second"))));
}

#[test]
fn a_set_is_blocked_until_another_takes_its_place() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    let set = |files: &[(&str, u64)]| Blocked {
        files: files.iter().map(|(name, digest)| (dest(name), *digest)).collect(),
        why: "line 7 is wrong".into(),
    };
    journal.block(set(&[("a", 1), ("b", u64::MAX)])).unwrap();
    journal.block(set(&[("c", 1)])).unwrap();
    journal.block(set(&[("a", 3), ("b", 4)])).unwrap();
    let blocked = [set(&[("c", 1)]), set(&[("a", 3), ("b", 4)])];
    assert_eq!(open(&dir).blocked(), blocked);
    // It is not forgotten when the journal is rewritten.
    for round in 0..300 {
        journal.record(vec![entry("d", None, Some(round))]).unwrap();
        journal.reload_succeeded(&[key("d")], journal.last_batch());
    }
    // The same bytes are no other version, and a rollback confirms nothing.
    let mut back = entry("b", Some(4), Some(1));
    back.owner.is_rollback = true;
    journal.record(vec![back]).unwrap();
    assert!(journal.is_rollback(&key("b")) && open(&dir).is_rollback(&key("b")));
    journal.reload_succeeded(&[key("b")], journal.last_batch());
    journal.record(vec![entry("b", Some(1), Some(4))]).unwrap();
    journal.reload_succeeded(&[key("b")], journal.last_batch());
    assert_eq!(open(&dir).blocked(), blocked);
    journal.record(vec![entry("b", Some(1), Some(5))]).unwrap();
    journal.reload_succeeded(&[key("b")], journal.last_batch());
    assert_eq!(open(&dir).blocked(), &blocked[..1]);
}

#[test]
fn copies_of_a_unit_are_kept_until_its_last_reload() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    let of_unit = |name: &str, owes: bool| {
        let mut entry = Entry { saved: Some(SavedCopy::Nothing), ..entry(name, None, Some(1)) };
        entry.owner.unit = Some("edge".into());
        entry.owner.pending_reload = entry.owner.pending_reload.filter(|_| owes);
        entry
    };
    journal.record(vec![of_unit("a", true), of_unit("b", true), of_unit("c", false)]).unwrap();
    journal.reload_succeeded(&[key("a")], 1);
    for journal in [&journal, &open(&dir)] {
        let owing: Vec<_> =
            journal.entries().filter(|entry| entry.reload_template().is_some()).map(|it| it.dest.clone()).collect();
        assert_eq!(owing, [dest("b")]);
        assert!(["a", "b", "c"].iter().all(|name| journal.saved(&key(name)).unwrap() == Some(None)));
    }
    // A restored file keeps its entry until its reload: another process may change it.
    let mut back = of_unit("a", true);
    (back.owner.is_rollback, back.saved) = (true, None);
    journal.record(vec![back]).unwrap();
    assert_eq!(journal.saved(&key("a")).unwrap(), Some(None));
    journal.reload_succeeded(&[key("a"), key("b")], 2);
    assert_eq!(known(&open(&dir)), []);
}

#[test]
fn the_journal_of_an_earlier_version_is_read_and_written_unchanged() {
    let json = r#"{"put":[{"dest":"/x/f","seq":3,"old":1,"new":2,"staged":".s.tmp","over":{"staged":"/x/.s.tmp","mode":416},"follows":true,"again":true,"template":"f","owed":{"reload":{"shell":"r"},"timeout":{"secs":1,"nanos":0},"interval":{"secs":2,"nanos":0}},"unit":"u","back":true,"saved":{"file":{"name":"c","mode":384,"uid":1,"gid":2}},"since":2}],"blocked":[{"files":[["/x/f",1]],"why":"w"}]}"#;
    let line: Line = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&line).unwrap(), json);
    let entry = &line.put[0];
    assert!(entry.earlier_pending && entry.follows_link && entry.owner.is_rollback && entry.overwrite.is_some());
    assert!(entry.owner.pending_reload.is_some());
}
