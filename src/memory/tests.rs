use super::*;
use crate::decide::{Course, Kept, Known, Loss, Moment, Origin, Vacancies, Vacant};
use crate::sighting::Zxid;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt as _;

fn origin(url: &str) -> Origin {
    Origin { url: url.into(), path: "/services/*".into() }
}

fn known(stamp: i64, members: &[(&str, &[u8], Option<u32>)]) -> Known {
    let member = |(name, data, slot): &(&str, &[u8], Option<u32>)| {
        (Arc::from(*name), Kept { data: Arc::from(*data), slot: *slot })
    };
    Known { stamp: Some(Zxid(stamp)), members: members.iter().map(member).collect(), ..Known::default() }
}

fn memo(name: &str, paths: &[(&str, Option<Known>)]) -> Memo {
    let paths = paths.iter().map(|(path, known)| (Arc::from(*path), known.clone())).collect();
    Memo { name: name.into(), origin: origin("zk://a:2181"), paths, held: BTreeMap::new() }
}

fn recall(dir: &Path) -> Recollection {
    Memory::of(dir).recall(Access::Own)
}

/// What is remembered of `web`, without its age.
fn web(dir: &Path) -> Option<Recalled> {
    Some(Recalled { age: None, ..recall(dir).remove("web")? })
}

fn file(dir: &Path) -> PathBuf {
    dir.join("rosters/web.roster")
}

#[test]
fn what_is_remembered_is_recalled_by_the_next() {
    let dir = tempfile::TempDir::new().unwrap();
    assert_eq!(recall(dir.path()), Recollection::new(), "nothing yet");
    let memory = Memory::of(dir.path());
    let first = known(5, &[("a:1", b"{\"n\": \"\\n\"}", Some(1)), ("b:1", b"\xff\xfe", None), ("c:1", b"", Some(0))]);
    memory.remember(memo("web", &[("x", Some(first.clone())), ("y", Some(known(6, &[])))]));
    memory.remember(memo("db", &[("", Some(known(1, &[])))]));
    let all = recall(dir.path());
    assert_eq!(all.keys().map(|name| &**name).collect::<Vec<_>>(), ["db", "web"]);
    assert_eq!(all["web"].paths, BTreeMap::from([("x".into(), first), ("y".into(), known(6, &[]))]));
    assert_eq!((&all["web"].origin, all["web"].age), (&origin("zk://a:2181"), Some(Duration::ZERO)));
    // Another goes on where this one ended.
    let next = Memory::of(dir.path());
    next.recall(Access::Own);
    let begun = fs::metadata(file(dir.path())).unwrap().len();
    next.remember(memo("web", &[("x", Some(known(7, &[("a:1", b"1", Some(1))]))), ("y", None)]));
    let web = web(dir.path()).unwrap();
    assert_eq!(web.paths, BTreeMap::from([("x".into(), known(7, &[("a:1", b"1", Some(1))]))]));
    let grown = fs::metadata(file(dir.path())).unwrap().len();
    next.remember(memo("web", &[("x", Some(known(7, &[("a:1", b"1", Some(1))])))]));
    assert_eq!(fs::metadata(file(dir.path())).unwrap().len(), grown, "nothing new costs nothing");
    assert!(grown > begun);
}

#[test]
fn a_change_costs_what_it_is_and_the_file_does_not_grow_without_end() {
    let dir = tempfile::TempDir::new().unwrap();
    let memory = Memory::of(dir.path());
    let names: Vec<String> = (0..5000).map(|n| format!("10.0.{}.{}:80", n / 250, n % 250)).collect();
    let view = |stamp: i64, data: &[u8]| {
        let mut view = known(stamp, &names.iter().map(|name| (&**name, &b"{}"[..], None)).collect::<Vec<_>>());
        view.members.insert("one".into(), Kept { data: Arc::from(data), slot: None });
        view
    };
    memory.remember(memo("web", &[("", Some(view(1, b"")))]));
    let whole = fs::metadata(file(dir.path())).unwrap().len();
    memory.remember(memo("web", &[("", Some(view(2, b"2")))]));
    let line = fs::metadata(file(dir.path())).unwrap().len() - whole;
    assert!(whole > 100_000 && line < 400, "{line} bytes for one member of {whole}");
    for n in 0..30 {
        memory.remember(memo("web", &[("", Some(view(3 + n, &vec![b'x'; 20_000])))]));
        memory.remember(memo("web", &[("", Some(view(3 + n, &vec![b'y'; 20_000])))]));
        memory.tend(&BTreeMap::new());
        assert!(fs::metadata(file(dir.path())).unwrap().len() < 3 * whole);
    }
    assert_eq!(web(dir.path()).unwrap().paths[""], view(32, &vec![b'y'; 20_000]));
}

#[test]
fn another_url_begins_anew() {
    let dir = tempfile::TempDir::new().unwrap();
    let memory = Memory::of(dir.path());
    memory.remember(memo("web", &[("x", Some(known(5, &[("a:1", b"", None)]))), ("y", None)]));
    let moved = Memo { origin: origin("zk://b:2181"), ..memo("web", &[("y", Some(known(1, &[("b:1", b"", None)])))]) };
    memory.remember(moved);
    let web = web(dir.path()).unwrap();
    assert_eq!((&*web.origin.url, web.paths.keys().map(|key| &**key).collect::<Vec<_>>()), ("zk://b:2181", vec!["y"]));
}

#[test]
fn it_is_for_the_owner_and_leaves_nothing_beside_itself() {
    let dir = tempfile::TempDir::new().unwrap();
    let memory = Memory::of(dir.path());
    memory.remember(memo("web", &[("", Some(known(1, &[("a:1", b"", None)])))]));
    memory.tend(&BTreeMap::from([("web".into(), Duration::from_secs(7)), ("gone".into(), Duration::ZERO)]));
    let folder = dir.path().join("rosters");
    fs::write(folder.join("web.tmp"), "a killed agent's").unwrap();
    assert_eq!(recall(dir.path())["web"].age, Some(Duration::ZERO), "the line is later than the seven seconds");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&folder), 0o700);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files, [folder.join("confirmed"), folder.join("web.roster")]);
    assert!(files.iter().all(|file| mode(file) == 0o600));
    // A place that cannot be written to is no reason to fail.
    Memory::of(Path::new("/dev/null")).remember(memo("web", &[("", Some(known(1, &[])))]));
    Memory::of(Path::new("/dev/null")).tend(&BTreeMap::new());
}

#[test]
fn an_age_is_that_of_the_last_line_or_of_the_last_confirmation() {
    let dir = tempfile::TempDir::new().unwrap();
    let memory = Memory::of(dir.path());
    memory.remember(memo("web", &[("", Some(known(1, &[("a:1", b"", None)])))]));
    // As if the line were from an hour ago.
    let dial = Dial::new(When::now());
    let mut page = Page::read(&fs::read(file(dir.path())).unwrap(), &dial).unwrap().0;
    page.at = When { up: page.at.up.saturating_sub(3600), wall: page.at.wall - 3600, boot: String::new() };
    fs::write(file(dir.path()), page.bytes(&dial)).unwrap();
    let age = || recall(dir.path())["web"].age.unwrap().as_secs();
    assert!((3600..3660).contains(&age()), "{}", age());
    memory.tend(&BTreeMap::from([("web".into(), Duration::from_mins(1))]));
    assert!((60..120).contains(&age()), "{}", age());
    let other = Memory::of(dir.path());
    other.recall(Access::Own);
    other.remember(memo("db", &[("", Some(known(1, &[])))]));
    other.tend(&BTreeMap::from([("db".into(), Duration::ZERO)]));
    assert!((60..120).contains(&age()), "who has nothing to do with it takes nothing from it: {}", age());
    fs::write(dir.path().join("rosters/confirmed"), "rubbish").unwrap();
    assert!(age() >= 3600);
    page.at.wall += 100_000;
    fs::write(file(dir.path()), page.bytes(&dial)).unwrap();
    assert_eq!(recall(dir.path())["web"].age, None, "from the future");
}

#[test]
fn a_newer_version_is_set_aside_and_what_is_damaged_begins_anew() {
    let dir = tempfile::TempDir::new().unwrap();
    let memory = Memory::of(dir.path());
    let good = memo("web", &[("", Some(known(1, &[("a:1", b"", None)])))]);
    memory.remember(good.clone());
    let whole = fs::read(file(dir.path())).unwrap();
    let newer = b"rosterd memory 2\nwhatever it may be\n";
    fs::write(file(dir.path()), newer).unwrap();
    assert_eq!(Memory::of(dir.path()).recall(Access::Look), Recollection::new());
    assert_eq!(fs::read(file(dir.path())).unwrap(), newer, "who only looks moves nothing");
    assert_eq!(recall(dir.path()), Recollection::new());
    let aside = dir.path().join("rosters/web.roster.newer");
    assert_eq!((fs::read(&aside).unwrap(), file(dir.path()).exists()), (newer.to_vec(), false));
    assert_eq!(recall(dir.path()), Recollection::new(), "and what was set aside is not read again");
    for damaged in [&b""[..], b"\n", b"rosterd memory 1\n", b"rosterd memory 0\n", b"{}", &whole[1..]] {
        fs::write(file(dir.path()), damaged).unwrap();
        let memory = Memory::of(dir.path());
        assert_eq!(memory.recall(Access::Own), Recollection::new(), "{damaged:?}");
        memory.remember(good.clone());
        assert_eq!(web(dir.path()).unwrap().paths.len(), 1);
    }
    assert_eq!(fs::read(&aside).unwrap(), newer);
}

#[test]
fn a_course_is_carried_over_to_the_next_process_and_not_over_a_restart_of_the_machine() {
    let after = |secs| Moment::START + Duration::from_secs(secs);
    let vacancy = |name: &str, slot, since| (Arc::from(name), Vacant { slot, since });
    let good = Course {
        sizes: vec![(after(0), 18), (after(60), 14)],
        vacancies: Vacancies::from([vacancy("x", 3, after(60)), vacancy("y", 4, after(10))]),
        ..Course::default()
    };
    let held = Course {
        loss: Some(Loss { to: 6, since: after(90) }),
        held: Some(after(80)),
        vacancies: Vacancies::from([vacancy("x", 3, after(60)), vacancy("z", 5, after(90))]),
        ..good.clone()
    };
    let mut page = Page::new(origin("zk://a:2181"));
    let (first, next) = (dial("one", 1000), dial("one", 1300));
    let known = Known { course: good, ..known(5, &[("a:1", b"", Some(1))]) };
    page.take(memo("web", &[("x", Some(known.clone()))]), When::now(), &first);
    let mut bytes = page.bytes(&first);
    let before = Memo { held: BTreeMap::from([("x".into(), (Some(Zxid(9)), held.clone()))]), ..memo("web", &[]) };
    bytes.extend(page.take(before.clone(), When::now(), &first).unwrap());
    assert_eq!(page.take(before, When::now(), &first), None, "said again it is nothing new");
    assert_eq!(page.known.paths["x"].members, known.members, "what was last good is as it was");
    // 300 seconds later.
    let earlier = |moment: Moment| moment - Duration::from_mins(5);
    let moved = Course {
        sizes: held.sizes.iter().map(|(since, size)| (earlier(*since), *size)).collect(),
        loss: held.loss.map(|loss| Loss { since: earlier(loss.since), ..loss }),
        held: held.held.map(earlier),
        vacancies: Vacancies::from([vacancy("x", 3, earlier(after(60))), vacancy("z", 5, earlier(after(90)))]),
    };
    let read = Page::read(&bytes, &next).unwrap().0;
    assert_eq!(read.known.paths["x"], Known { stamp: Some(Zxid(9)), course: moved, ..known.clone() });
    assert_eq!(Page::read(&read.bytes(&next), &next).unwrap().0.known, read.known, "and begun anew");
    // Another start of the machine: what was there is known, and times begin anew.
    let restarted = Course {
        sizes: vec![(Moment::START, 18)],
        loss: Some(Loss { to: 6, since: Moment::START }),
        held: Some(Moment::START),
        vacancies: Vacancies::from([vacancy("x", 3, Moment::START), vacancy("z", 5, Moment::START)]),
    };
    let read = Page::read(&bytes, &dial("two", 50)).unwrap().0;
    assert_eq!(read.known.paths["x"].course, restarted);
    // Of a path that was never good there is nothing to remember.
    let never = Memo { held: BTreeMap::from([("q".into(), (None, held))]), ..memo("web", &[]) };
    assert_eq!(page.take(never, When::now(), &first), None);
}

fn dial(boot: &str, up: u64) -> Dial {
    Dial::new(When { boot: boot.into(), up, wall: 0 })
}

/// Memos about two paths: members come, change, are numbered and go; a path goes.
fn memos() -> impl Strategy<Value = Vec<Memo>> {
    let kept = (0u8..4, proptest::option::of(0u32..3)).prop_map(|(data, slot)| {
        let data: &[u8] = [&b""[..], b"{\"a\": \"\\u2028\\n\"}", b"\xff\x00", b"x"][usize::from(data)];
        Kept { data: Arc::from(data), slot }
    });
    let members = proptest::collection::btree_map((0u8..4).prop_map(|n| Arc::from(format!("m{n}"))), kept, 0..4);
    let known = (proptest::option::of(0i64..9), members).prop_map(|(stamp, members)| Known {
        stamp: stamp.map(Zxid),
        members,
        ..Known::default()
    });
    let path = prop_oneof![Just(Arc::from("x")), Just(Arc::from("y"))];
    let paths = proptest::collection::btree_map(path, proptest::option::weighted(0.8, known), 1..3);
    let memo = paths.prop_map(|paths| Memo {
        name: "web".into(),
        origin: origin("zk://a:2181"),
        paths,
        held: BTreeMap::new(),
    });
    proptest::collection::vec(memo, 1..8)
}

proptest! {
    #![proptest_config(crate::testing::config(40, 2_000))]

    /// Cut off anywhere, or with any byte changed, a file gives a whole earlier state, and never one that was not.
    #[test]
    fn a_file_that_is_cut_off_anywhere_recalls_a_whole_earlier_state(memos in memos(), flip in 1u8..=255) {
        let dir = tempfile::TempDir::new().unwrap();
        let memory = Memory::of(dir.path());
        // How long the file was when each state was written, and the state.
        let mut states: Vec<(usize, Option<Recalled>)> = vec![(0, None)];
        for memo in memos {
            memory.remember(memo);
            let length = fs::read(file(dir.path())).map_or(0, |bytes| bytes.len());
            states.push((length, web(dir.path())));
        }
        let bytes = fs::read(file(dir.path())).unwrap_or_default();
        let dial = Dial::new(When::now());
        let read = |bytes: &[u8]| Page::read(bytes, &dial).ok().map(|(page, _)| Recalled { age: None, ..page.known });
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
        // What goes on after a cut takes nothing from what is whole.
        for cut in [bytes.len() / 3, bytes.len() * 2 / 3, bytes.len().saturating_sub(1)] {
            fs::create_dir_all(dir.path().join("rosters")).unwrap();
            fs::write(file(dir.path()), &bytes[..cut]).unwrap();
            let memory = Memory::of(dir.path());
            let before = memory.recall(Access::Own).remove("web").map(|web| web.paths).unwrap_or_default();
            let late = known(99, &[("late", b"", None)]);
            memory.remember(Memo { paths: BTreeMap::from([("z".into(), Some(late.clone()))]), ..memo("web", &[]) });
            let mut after = web(dir.path()).unwrap().paths;
            prop_assert_eq!(after.remove("z"), Some(late));
            prop_assert_eq!(after, before);
        }
    }
}
