use super::record::Line;
use super::*;
use crate::decide::slots::ReservedSlots;
use crate::decide::{GuardHistory, Moment, Origin, ReservedSlot, SavedMember, SavedPath, UnconfirmedLoss};
use crate::model::version::Zxid;
use crate::state::append_log::AppendLog;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt as _;

fn origin(url: &str) -> Origin {
    Origin { url: url.into(), path: "/services/*".into() }
}

fn known(stamp: i64, members: &[(&str, &[u8], Option<u32>)]) -> SavedPath {
    let member = |(name, data, slot): &(&str, &[u8], Option<u32>)| {
        (Arc::from(*name), SavedMember { data: Arc::from(*data), slot: *slot })
    };
    SavedPath { version: Some(Zxid(stamp)), members: members.iter().map(member).collect(), ..SavedPath::default() }
}

fn saved(name: &str, paths: &[(&str, Option<SavedPath>)]) -> SavedUpdate {
    let paths = paths.iter().map(|(path, known)| (Arc::from(*path), known.clone())).collect();
    SavedUpdate { name: name.into(), origin: origin("zk://a:2181"), paths, held: BTreeMap::new() }
}

fn load(dir: &Path) -> SavedState {
    LastGood::new(dir).load(Access::ReadWrite)
}

/// What is saved of `web`, without its age.
fn web(dir: &Path) -> Option<SavedRoster> {
    Some(SavedRoster { age: None, ..load(dir).remove("web")? })
}

fn file(dir: &Path) -> PathBuf {
    dir.join("rosters/web.roster")
}

#[test]
fn saved_rosters_are_loaded_by_the_next_process() {
    let dir = tempfile::TempDir::new().unwrap();
    assert_eq!(load(dir.path()), SavedState::new(), "nothing yet");
    let last_good = LastGood::new(dir.path());
    let first = known(5, &[("a:1", b"{\"n\": \"\\n\"}", Some(1)), ("b:1", b"\xff\xfe", None), ("c:1", b"", Some(0))]);
    last_good.save(saved("web", &[("x", Some(first.clone())), ("y", Some(known(6, &[])))]));
    last_good.save(saved("db", &[("", Some(known(1, &[])))]));
    let all = load(dir.path());
    assert_eq!(all.keys().map(|name| &**name).collect::<Vec<_>>(), ["db", "web"]);
    assert_eq!(all["web"].paths, BTreeMap::from([("x".into(), first), ("y".into(), known(6, &[]))]));
    assert_eq!((&all["web"].origin, all["web"].age), (&origin("zk://a:2181"), Some(Duration::ZERO)));
    // Another process continues where this one ended.
    let next = LastGood::new(dir.path());
    next.load(Access::ReadWrite);
    let begun = fs::metadata(file(dir.path())).unwrap().len();
    next.save(saved("web", &[("x", Some(known(7, &[("a:1", b"1", Some(1))]))), ("y", None)]));
    let web = web(dir.path()).unwrap();
    assert_eq!(web.paths, BTreeMap::from([("x".into(), known(7, &[("a:1", b"1", Some(1))]))]));
    let grown = fs::metadata(file(dir.path())).unwrap().len();
    next.save(saved("web", &[("x", Some(known(7, &[("a:1", b"1", Some(1))])))]));
    assert_eq!(fs::metadata(file(dir.path())).unwrap().len(), grown, "an equal update writes nothing");
    assert!(grown > begun);
}

#[test]
fn a_change_writes_only_the_difference_and_the_file_stays_bounded() {
    let dir = tempfile::TempDir::new().unwrap();
    let last_good = LastGood::new(dir.path());
    let names: Vec<String> = (0..5000).map(|n| format!("10.0.{}.{}:80", n / 250, n % 250)).collect();
    let view = |stamp: i64, data: &[u8]| {
        let mut view = known(stamp, &names.iter().map(|name| (&**name, &b"{}"[..], None)).collect::<Vec<_>>());
        view.members.insert("one".into(), SavedMember { data: Arc::from(data), slot: None });
        view
    };
    last_good.save(saved("web", &[("", Some(view(1, b"")))]));
    let whole = fs::metadata(file(dir.path())).unwrap().len();
    last_good.save(saved("web", &[("", Some(view(2, b"2")))]));
    let line = fs::metadata(file(dir.path())).unwrap().len() - whole;
    assert!(whole > 100_000 && line < 400, "{line} bytes for one member of {whole}");
    for n in 0..30 {
        last_good.save(saved("web", &[("", Some(view(3 + n, &vec![b'x'; 20_000])))]));
        last_good.save(saved("web", &[("", Some(view(3 + n, &vec![b'y'; 20_000])))]));
        last_good.compact(&BTreeMap::new());
        assert!(fs::metadata(file(dir.path())).unwrap().len() < 3 * whole);
    }
    assert_eq!(web(dir.path()).unwrap().paths[""], view(32, &vec![b'y'; 20_000]));
}

#[test]
fn another_url_starts_the_file_again() {
    let dir = tempfile::TempDir::new().unwrap();
    let last_good = LastGood::new(dir.path());
    last_good.save(saved("web", &[("x", Some(known(5, &[("a:1", b"", None)]))), ("y", None)]));
    let moved =
        SavedUpdate { origin: origin("zk://b:2181"), ..saved("web", &[("y", Some(known(1, &[("b:1", b"", None)])))]) };
    last_good.save(moved);
    let web = web(dir.path()).unwrap();
    assert_eq!((&*web.origin.url, web.paths.keys().map(|key| &**key).collect::<Vec<_>>()), ("zk://b:2181", vec!["y"]));
}

#[test]
fn files_are_private_and_leave_no_temporary_files() {
    let dir = tempfile::TempDir::new().unwrap();
    let last_good = LastGood::new(dir.path());
    last_good.save(saved("web", &[("", Some(known(1, &[("a:1", b"", None)])))]));
    last_good.compact(&BTreeMap::from([("web".into(), Duration::from_secs(7)), ("gone".into(), Duration::ZERO)]));
    let directory = dir.path().join("rosters");
    fs::write(directory.join("web.tmp"), "a killed agent's").unwrap();
    assert_eq!(load(dir.path())["web"].age, Some(Duration::ZERO), "the line is later than the seven seconds");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&directory), 0o700);
    let mut files: Vec<PathBuf> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files, [directory.join("confirmed"), directory.join("web.roster")]);
    assert!(files.iter().all(|file| mode(file) == 0o600));
    // A failed write is no reason to fail.
    LastGood::new(Path::new("/dev/null")).save(saved("web", &[("", Some(known(1, &[])))]));
    LastGood::new(Path::new("/dev/null")).compact(&BTreeMap::new());
}

/// Changes the times of all lines of `web` by this many seconds.
fn shift(dir: &Path, secs: i64) {
    let (mut log, held) = AppendLog::open(file(dir), HEADER, Access::ReadWrite);
    let mut lines: Vec<Line> = held.lines;
    for at in lines.iter_mut().filter_map(|line| line.at.as_mut()) {
        *at = Timestamp { wall: at.wall.saturating_add_signed(secs), boot: String::new(), ..at.clone() };
    }
    log.rewrite(&lines).unwrap();
}

#[test]
fn an_age_counts_from_the_last_line_or_the_last_confirmation() {
    let dir = tempfile::TempDir::new().unwrap();
    LastGood::new(dir.path()).save(saved("web", &[("", Some(known(1, &[("a:1", b"", None)])))]));
    shift(dir.path(), -3600);
    let age = || load(dir.path())["web"].age.unwrap().as_secs();
    assert!((3600..3660).contains(&age()), "{}", age());
    let last_good = LastGood::new(dir.path());
    last_good.load(Access::ReadWrite);
    last_good.compact(&BTreeMap::from([("web".into(), Duration::from_mins(1))]));
    assert!((60..120).contains(&age()), "{}", age());
    let other = LastGood::new(dir.path());
    other.load(Access::ReadWrite);
    other.save(saved("db", &[("", Some(known(1, &[])))]));
    other.compact(&BTreeMap::from([("db".into(), Duration::ZERO)]));
    assert!((60..120).contains(&age()), "an unrelated update does not change the age: {}", age());
    fs::write(dir.path().join("rosters/confirmed"), "rubbish").unwrap();
    assert!(age() >= 3600);
    shift(dir.path(), 100_000);
    assert_eq!(load(dir.path())["web"].age, None, "from the future");
}

#[test]
fn a_newer_version_is_renamed_and_a_damaged_file_is_started_again() {
    let dir = tempfile::TempDir::new().unwrap();
    let last_good = LastGood::new(dir.path());
    let good = saved("web", &[("", Some(known(1, &[("a:1", b"", None)])))]);
    last_good.save(good.clone());
    let whole = fs::read(file(dir.path())).unwrap();
    let newer = b"rosterd memory 2\nwhatever it may be\n";
    fs::write(file(dir.path()), newer).unwrap();
    assert_eq!(LastGood::new(dir.path()).load(Access::ReadOnly), SavedState::new());
    assert_eq!(fs::read(file(dir.path())).unwrap(), newer, "read-only access renames nothing");
    assert_eq!(load(dir.path()), SavedState::new());
    let aside = dir.path().join("rosters/web.roster.newer");
    assert_eq!((fs::read(&aside).unwrap(), file(dir.path()).exists()), (newer.to_vec(), false));
    assert_eq!(load(dir.path()), SavedState::new(), "and a renamed file is not read");
    for damaged in [&b""[..], b"\n", b"rosterd memory 1\n", b"rosterd memory 0\n", b"{}", &whole[1..]] {
        fs::write(file(dir.path()), damaged).unwrap();
        let last_good = LastGood::new(dir.path());
        assert_eq!(last_good.load(Access::ReadWrite), SavedState::new(), "{damaged:?}");
        last_good.save(good.clone());
        assert_eq!(web(dir.path()).unwrap().paths.len(), 1);
    }
    assert_eq!(fs::read(&aside).unwrap(), newer);
    // A file that cannot be read is kept and read later; what was written meanwhile is newer.
    let unread = dir.path().join("rosters/web.roster.unread1");
    fs::remove_file(file(dir.path())).unwrap();
    fs::create_dir(file(dir.path())).unwrap();
    assert_eq!(load(dir.path()), SavedState::new());
    let later = known(2, &[("b:1", b"", None)]);
    LastGood::new(dir.path()).save(saved("web", &[("", Some(later.clone()))]));
    fs::remove_dir(&unread).unwrap();
    fs::write(&unread, &whole).unwrap();
    assert_eq!(web(dir.path()).unwrap().paths[""], later);
    fs::remove_file(file(dir.path())).unwrap();
    assert_eq!(Some(&web(dir.path()).unwrap().paths[""]), good.paths[""].as_ref());
}

#[test]
fn the_guard_history_survives_a_restart_but_not_a_reboot() {
    let after = |secs| Moment::START + Duration::from_secs(secs);
    let vacancy = |name: &str, slot, since| (Arc::from(name), ReservedSlot { slot, since });
    let good = GuardHistory {
        sizes: vec![(after(0), 18), (after(60), 14)],
        reserved_slots: ReservedSlots::from([vacancy("x", 3, after(60)), vacancy("y", 4, after(10))]),
        ..GuardHistory::default()
    };
    let held = GuardHistory {
        loss: Some(UnconfirmedLoss { to: 6, since: after(90) }),
        held: Some(after(80)),
        reserved_slots: ReservedSlots::from([vacancy("x", 3, after(60)), vacancy("z", 5, after(90))]),
        ..good.clone()
    };
    let dir = tempfile::TempDir::new().unwrap();
    let last_good = |boot: &str, up| LastGood::at(dir.path(), Timestamp { boot: boot.into(), up, wall: 0 });
    let read = |boot, up| last_good(boot, up).load(Access::ReadWrite)["web"].paths["x"].clone();
    let length = || fs::metadata(file(dir.path())).unwrap().len();
    let known = SavedPath { guard_history: good, ..known(5, &[("a:1", b"", Some(1))]) };
    let first = last_good("one", 1000);
    first.save(saved("web", &[("x", Some(known.clone()))]));
    let before =
        SavedUpdate { held: BTreeMap::from([("x".into(), (Some(Zxid(9)), held.clone()))]), ..saved("web", &[]) };
    first.save(before.clone());
    let grown = length();
    first.save(before);
    assert_eq!(length(), grown, "an equal update adds nothing");
    // 300 seconds later.
    let earlier = |moment: Moment| moment - Duration::from_mins(5);
    let moved = GuardHistory {
        sizes: held.sizes.iter().map(|(since, size)| (earlier(*since), *size)).collect(),
        loss: held.loss.map(|loss| UnconfirmedLoss { since: earlier(loss.since), ..loss }),
        held: held.held.map(earlier),
        reserved_slots: ReservedSlots::from([vacancy("x", 3, earlier(after(60))), vacancy("z", 5, earlier(after(90)))]),
    };
    let moved = SavedPath { version: Some(Zxid(9)), guard_history: moved, ..known.clone() };
    assert_eq!(read("one", 1300), moved, "the last known-good state is unchanged");
    // After a reboot the members are known, and times start again.
    let restarted = GuardHistory {
        sizes: vec![(Moment::START, 18)],
        loss: Some(UnconfirmedLoss { to: 6, since: Moment::START }),
        held: Some(Moment::START),
        reserved_slots: ReservedSlots::from([vacancy("x", 3, Moment::START), vacancy("z", 5, Moment::START)]),
    };
    assert_eq!(read("two", 50).guard_history, restarted);
    let next = last_good("one", 1300);
    next.load(Access::ReadWrite);
    fs::remove_file(file(dir.path())).unwrap();
    next.compact(&BTreeMap::new());
    assert_eq!(read("one", 1300), moved, "and rewritten");
    // A path that was never good has nothing to save.
    let rewritten = length();
    next.save(SavedUpdate { held: BTreeMap::from([("q".into(), (None, held))]), ..saved("web", &[]) });
    assert_eq!(length(), rewritten);
}

/// A state directory that an earlier version wrote with other code. There were 8 members: one left, one changed, and 4
/// more left at once. Of two keys one was removed and the other gained a member. The data changed once.
#[test]
fn files_of_an_earlier_version_are_read_and_continued() {
    let dir = tempfile::TempDir::new().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/last_good_1");
    fs::create_dir(dir.path().join("rosters")).unwrap();
    for name in ["app.roster", "apps.roster", "web.roster", "confirmed"] {
        fs::copy(fixture.join(name), dir.path().join("rosters").join(name)).unwrap();
    }
    // 300 seconds after it ended, on the same boot.
    let now = Timestamp { boot: "5d63f750-b429-458e-bc01-8facc30bb2c2".into(), up: 953, wall: 1_795_932_030 };
    let read = || LastGood::at(dir.path(), now.clone()).store().load(Access::ReadWrite, &now);
    let ago = |up: u64| Moment::START - Duration::from_secs(953 - up);
    let recalled = |path: &str, paths: &[(&str, SavedPath)]| SavedRoster {
        origin: Origin { url: "dir:/nonexistent/registry".into(), path: path.into() },
        paths: paths.iter().map(|(path, known)| (Arc::from(*path), known.clone())).collect(),
        age: Some(Duration::from_mins(5)),
    };
    let last = |members: &[(&str, &[u8], Option<u32>)], guard_history| SavedPath {
        version: None,
        guard_history,
        ..known(0, members)
    };
    let expected = SavedState::from([
        ("app".into(), recalled("/config/app", &[("", last(&[("", b"{\"n\": 8}\n", None)], GuardHistory::default()))])),
        (
            "apps".into(),
            recalled(
                "/apps/*",
                &[
                    ("", SavedPath::default()),
                    (
                        "blog",
                        last(
                            &[("10.0.2.1:80", b"", Some(0))],
                            GuardHistory {
                                sizes: vec![(ago(648), 1)],
                                held: Some(ago(650)),
                                ..GuardHistory::default()
                            },
                        ),
                    ),
                    (
                        "shop",
                        last(
                            &[
                                ("10.0.1.1:80", b"", Some(0)),
                                ("10.0.1.2:80", b"", Some(1)),
                                ("10.0.1.3:80", b"", Some(2)),
                            ],
                            GuardHistory { sizes: vec![(ago(650), 3)], ..GuardHistory::default() },
                        ),
                    ),
                ],
            ),
        ),
        (
            "web".into(),
            recalled(
                "/services/web",
                &[(
                    "",
                    last(
                        &[
                            ("10.0.0.1:80", b"{\"weight\": 1}\n", Some(0)),
                            ("10.0.0.3:80", b"{\"weight\": 33}\n", Some(2)),
                            ("10.0.0.4:80", b"{\"weight\": 4}\n", Some(3)),
                            ("10.0.0.5:80", b"{\"weight\": 5}\n", Some(4)),
                            ("10.0.0.6:80", b"{\"weight\": 6}\n", Some(5)),
                            ("10.0.0.7:80", b"{\"weight\": 7}\n", Some(6)),
                            ("10.0.0.8:80", b"\xff\xfe", Some(7)),
                        ],
                        GuardHistory {
                            sizes: vec![(ago(648), 8), (ago(649), 7)],
                            loss: Some(UnconfirmedLoss { to: 3, since: ago(651) }),
                            held: Some(ago(651)),
                            reserved_slots: ReservedSlots::from([(
                                "10.0.0.2:80".into(),
                                ReservedSlot { slot: 1, since: ago(649) },
                            )]),
                        },
                    ),
                )],
            ),
        ),
    ]);
    assert_eq!(read(), expected);
    // After a reboot, by the calendar.
    let later = Timestamp { boot: "another".into(), up: 5, wall: now.wall + 60 };
    assert_eq!(
        LastGood::at(dir.path(), later.clone()).store().load(Access::ReadWrite, &later)["web"].age,
        Some(Duration::from_mins(6))
    );
    // A change is a line at the end of the same file.
    let last_good = LastGood::at(dir.path(), now.clone());
    let mut web = last_good.store().load(Access::ReadWrite, &now).remove("web").unwrap();
    web.paths.get_mut("").unwrap().members.remove("10.0.0.7:80");
    let paths = web.paths.iter().map(|(path, known)| (Arc::clone(path), Some(known.clone()))).collect();
    last_good.save(SavedUpdate { name: "web".into(), origin: web.origin.clone(), paths, held: BTreeMap::new() });
    last_good.compact(&BTreeMap::new());
    let added = fs::read(file(dir.path())).unwrap();
    let added = added.strip_prefix(&*fs::read(fixture.join("web.roster")).unwrap()).unwrap();
    assert_eq!(added.split(|byte| *byte == b'\n').count() - 1, 1);
    assert_eq!(read()["web"].paths, web.paths);
    let mut files: Vec<_> =
        fs::read_dir(dir.path().join("rosters")).unwrap().map(|it| it.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["app.roster", "apps.roster", "confirmed", "web.roster"], "and nothing is set aside");
}

/// Updates of two paths: members come, change, get slots and leave; a path is removed.
fn memos() -> impl Strategy<Value = Vec<SavedUpdate>> {
    let kept = (0u8..4, proptest::option::of(0u32..3)).prop_map(|(data, slot)| {
        let data: &[u8] = [&b""[..], b"{\"a\": \"\\u2028\\n\"}", b"\xff\x00", b"x"][usize::from(data)];
        SavedMember { data: Arc::from(data), slot }
    });
    let members = proptest::collection::btree_map((0u8..4).prop_map(|n| Arc::from(format!("m{n}"))), kept, 0..4);
    let known = (proptest::option::of(0i64..9), members).prop_map(|(stamp, members)| SavedPath {
        version: stamp.map(Zxid),
        members,
        ..SavedPath::default()
    });
    let path = prop_oneof![Just(Arc::from("x")), Just(Arc::from("y"))];
    let paths = proptest::collection::btree_map(path, proptest::option::weighted(0.8, known), 1..3);
    let saved = paths.prop_map(|paths| SavedUpdate {
        name: "web".into(),
        origin: origin("zk://a:2181"),
        paths,
        held: BTreeMap::new(),
    });
    proptest::collection::vec(saved, 1..8)
}

proptest! {
    #![proptest_config(crate::support::random::config(40, 2_000))]

    /// Truncated anywhere, or with any byte changed, a file gives a complete earlier state and never another.
    #[test]
    fn a_truncated_file_loads_a_complete_earlier_state(memos in memos(), flip in 1u8..=255) {
        let dir = tempfile::TempDir::new().unwrap();
        let last_good = LastGood::new(dir.path());
        // The length of the file when each state was written, and the state.
        let mut states: Vec<(usize, Option<SavedRoster>)> = vec![(0, None)];
        for saved in memos {
            last_good.save(saved);
            let length = fs::read(file(dir.path())).map_or(0, |bytes| bytes.len());
            states.push((length, web(dir.path())));
        }
        let bytes = fs::read(file(dir.path())).unwrap_or_default();
        let (clock, copy) = (BootClock::new(Timestamp::now()), dir.path().join("copy"));
        let read = |bytes: &[u8]| {
            // Truncating a file and writing it again would flush it to disk each time.
            let _ = fs::remove_file(&copy);
            fs::write(&copy, bytes).unwrap();
            RosterLog::open(copy.clone(), Access::ReadOnly, &clock).known().map(|(_, known)| known.clone())
        };
        for cut in 0..=bytes.len() {
            let latest = states.iter().rev().find(|(length, _)| *length <= cut).and_then(|(_, state)| state.clone());
            prop_assert_eq!(read(&bytes[..cut]), latest, "cut at {}", cut);
            if cut < bytes.len() {
                let mut broken = bytes.clone();
                broken[cut] ^= flip;
                let state = read(&broken);
                prop_assert!(states.iter().any(|(_, earlier)| *earlier == state), "byte {cut} ^ {flip}: {state:?}");
            }
        }
        // What is appended after a truncation takes nothing from the intact lines.
        for cut in [bytes.len() / 3, bytes.len() * 2 / 3, bytes.len().saturating_sub(1)] {
            fs::create_dir_all(dir.path().join("rosters")).unwrap();
            fs::write(file(dir.path()), &bytes[..cut]).unwrap();
            let last_good = LastGood::new(dir.path());
            let before = last_good.load(Access::ReadWrite).remove("web").map(|web| web.paths).unwrap_or_default();
            let late = known(99, &[("late", b"", None)]);
            last_good.save(SavedUpdate { paths: BTreeMap::from([("z".into(), Some(late.clone()))]), ..saved("web", &[]) });
            let mut after = web(dir.path()).unwrap().paths;
            prop_assert_eq!(after.remove("z"), Some(late));
            prop_assert_eq!(after, before);
        }
    }
}
