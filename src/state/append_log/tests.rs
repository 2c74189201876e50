use super::*;

const HEADER: Header = Header { about: "test", version: 2, synced: true, snapshot: 0 };

fn open(directory: &Path, access: Access) -> (AppendLog, Contents<u32>) {
    AppendLog::open(directory.join("lines"), HEADER, access)
}

fn held(lines: &[u32]) -> Contents<u32> {
    Contents { lines: lines.to_vec(), lost: None }
}

/// Why lines are lost, for a log without lines.
fn lost(directory: &Path, access: Access) -> String {
    let Contents { lines, lost } = open(directory, access).1;
    assert_eq!(lines, [0; 0]);
    lost.unwrap()
}

#[test]
fn a_truncated_log_is_read_and_continued() {
    let dir = tempfile::TempDir::new().unwrap();
    let (mut log, now) = open(dir.path(), Access::ReadWrite);
    assert_eq!(now, held(&[]));
    for line in 1..=3 {
        log.append(&line, 1, || vec![line]).unwrap();
    }
    let whole = fs::read(dir.path().join("lines")).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
    for cut in 0..=whole.len() {
        fs::write(dir.path().join("lines"), &whole[..cut]).unwrap();
        let (mut log, now) = open(dir.path(), Access::ReadWrite);
        let Some(lines) = ends.iter().filter(|end| **end <= cut).count().checked_sub(1) else {
            assert!(now.lines.is_empty() && now.lost.is_some(), "cut at {cut}: {now:?}");
            fs::remove_file(dir.path().join("lines.damaged")).unwrap();
            continue;
        };
        let mut expected: Vec<u32> = (1..=3).take(lines).collect();
        assert_eq!(now, held(&expected), "cut at {cut}");
        expected.push(9);
        log.append(&9, 1, || expected.clone()).unwrap();
        assert_eq!(open(dir.path(), Access::ReadWrite).1, held(&expected), "cut at {cut}");
    }
}

#[test]
fn a_log_with_many_outdated_lines_is_rewritten() {
    let dir = tempfile::TempDir::new().unwrap();
    let (mut log, _) = open(dir.path(), Access::ReadWrite);
    for line in 0..1000_u32 {
        log.append(&line, 1, || vec![line]).unwrap();
    }
    let Contents { lines, .. } = open(dir.path(), Access::ReadWrite).1;
    assert!(lines.len() < 2 * SPARE_LINES && lines.last() == Some(&999), "{}", lines.len());
}

#[test]
fn a_log_with_few_long_lines_is_rewritten_too() {
    let dir = tempfile::TempDir::new().unwrap();
    let (mut log, _): (_, Contents<String>) = AppendLog::open(dir.path().join("lines"), HEADER, Access::ReadWrite);
    let line = "x".repeat(1 << 20);
    for _ in 0..20 {
        log.append(&line, 1, || vec![line.clone()]).unwrap();
        assert!(fs::metadata(log.file()).unwrap().len() <= 2 * SPARE_BYTES);
    }
}

#[test]
fn all_other_lines_of_a_damaged_log_are_read() {
    let dir = tempfile::TempDir::new().unwrap();
    let (mut log, _) = open(dir.path(), Access::ReadWrite);
    for line in 1..=3 {
        log.append(&line, 1, || vec![line]).unwrap();
    }
    let known = fs::read(log.file()).unwrap();
    let header = HEADER.line().len();
    let length = (known.len() - header) / 3;
    for (at, bit) in (0..known.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut bytes = known.clone();
        bytes[at] ^= 1 << bit;
        fs::write(log.file(), &bytes).unwrap();
        let Contents { lines, lost } = open(dir.path(), Access::ReadOnly).1;
        let Some(hit) = at.checked_sub(header) else {
            assert!(lines.is_empty() && lost.is_some(), "byte {at}, bit {bit}: {lines:?}, {lost:?}");
            continue;
        };
        let (nth, within) = (hit / length, hit % length);
        // Without its end, a line and the next one become one line.
        let kept = |line: u32| line as usize != nth + 1 && !(within + 1 == length && line as usize == nth + 2);
        let kept: Vec<u32> = (1..=3).filter(|line| kept(*line)).collect();
        // A digit of the checksum in the other case, and another space, are equivalent.
        let is_all = lines == [1, 2, 3];
        assert!(is_all || lines == kept && lost.is_some(), "byte {at}, bit {bit}: {lines:?}, {lost:?}");
    }
}

#[test]
fn lines_after_a_damaged_one_are_ignored_if_they_build_on_it() {
    let dir = tempfile::TempDir::new().unwrap();
    let header = Header { snapshot: 1, ..HEADER };
    let open = || AppendLog::open::<u32>(dir.path().join("lines"), header, Access::ReadWrite);
    let mut log = open().0;
    for line in 1..=3 {
        log.append(&line, 1, || vec![line]).unwrap();
    }
    let mut bytes = fs::read(log.file()).unwrap();
    let second = header.line().len() + line::write(&1).len();
    bytes[second] ^= 1;
    fs::write(log.file(), &bytes).unwrap();
    let (mut log, Contents { lines, lost }) = open();
    assert_eq!((lines, lost.is_some()), (vec![1], true));
    log.append(&4, 1, || vec![1, 4]).unwrap();
    assert_eq!(open().1, held(&[1, 4]));
}

#[test]
fn a_log_that_has_doubled_is_not_compact_in_the_next_process() {
    let dir = tempfile::TempDir::new().unwrap();
    let open =
        || AppendLog::open::<String>(dir.path().join("lines"), Header { snapshot: 1, ..HEADER }, Access::ReadWrite).0;
    let lines = |count: usize| vec!["x".repeat(1 << 17); count];
    let mut log = open();
    assert!(!log.is_compact(), "there is none");
    log.rewrite(&lines(1)).unwrap();
    log.append(&lines(1)[0], 1, || lines(2)).unwrap();
    assert!(log.is_compact() && open().is_compact());
    log.append(&"y".to_owned(), 1, || lines(2)).unwrap();
    assert!(log.is_compact() && open().is_compact(), "the header counts as initial size");
    log.append(&"y".repeat(99), 1, || lines(2)).unwrap();
    assert!(!(log.is_compact() || open().is_compact()));
}

#[test]
fn a_log_of_a_newer_version_is_renamed_only_with_write_access() {
    let dir = tempfile::TempDir::new().unwrap();
    let (file, newer) = (dir.path().join("lines"), dir.path().join("lines.newer"));
    fs::write(&file, "rosterd test 3\nwhatever it is\n").unwrap();
    assert!(lost(dir.path(), Access::ReadOnly).contains("version 3"));
    assert!(file.exists());
    assert!(lost(dir.path(), Access::ReadWrite).contains("lines.newer"));
    assert_eq!(fs::read_to_string(newer).unwrap(), "rosterd test 3\nwhatever it is\n");
    for text in ["another program's\n", "rosterd test 1\nan old one's\n", ""] {
        fs::write(&file, text).unwrap();
        assert!(lost(dir.path(), Access::ReadWrite).contains("lines.damaged"));
        assert_eq!(fs::read_to_string(dir.path().join("lines.damaged")).unwrap(), text);
    }
}

#[test]
fn an_unreadable_log_is_kept_and_read_later() {
    let dir = tempfile::TempDir::new().unwrap();
    let (file, away) = (dir.path().join("lines"), dir.path().join("away"));
    let (mut log, _) = open(dir.path(), Access::ReadWrite);
    log.append(&1, 1, || vec![1]).unwrap();
    fs::rename(&file, &away).unwrap();
    let make_unreadable: [fn(&Path); 3] = [
        |file| fs::create_dir(file).unwrap(),
        |file| std::os::unix::fs::symlink("away", file).unwrap(),
        |file| nix::unistd::mkfifo(file, nix::sys::stat::Mode::S_IRWXU).unwrap(),
    ];
    for make in make_unreadable {
        make(&file);
        assert!(lost(dir.path(), Access::ReadOnly).contains("kept as"));
        assert!(fs::symlink_metadata(&file).is_ok());
        let (mut log, now) = open(dir.path(), Access::ReadWrite);
        assert!(now.lost.unwrap().contains("lines.unread1"));
        log.append(&2, 1, || vec![2]).unwrap();
        assert_eq!(open(dir.path(), Access::ReadWrite).1, held(&[2]), "the first line is still missing");
        // The file can be read again.
        let aside = dir.path().join("lines.unread1");
        if aside.is_dir() {
            fs::remove_dir(&aside).unwrap();
        } else {
            fs::remove_file(&aside).unwrap();
        }
        fs::copy(&away, &aside).unwrap();
        let (mut log, now) = open(dir.path(), Access::ReadWrite);
        assert_eq!(now, held(&[1, 2]), "what is older comes first");
        assert!(aside.exists(), "until the next file includes its lines");
        log.append(&3, 1, || vec![1, 2, 3]).unwrap();
        assert!(!aside.exists());
        assert_eq!(open(dir.path(), Access::ReadWrite).1, held(&[1, 2, 3]));
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_replaced_log_is_kept_and_a_new_one_started() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("lines");
    let (mut log, _) = open(dir.path(), Access::ReadWrite);
    log.append(&1, 1, || vec![1]).unwrap();
    assert!(log.is_intact());
    // A file system was mounted that has one of its own.
    fs::rename(&file, dir.path().join("away")).unwrap();
    assert!(!log.is_intact());
    let (mut other, _) = open(dir.path(), Access::ReadWrite);
    other.append(&7, 1, || vec![7]).unwrap();
    assert!(!log.is_intact());
    log.append(&2, 1, || vec![1, 2]).unwrap();
    assert_eq!(open(dir.path(), Access::ReadWrite).1, held(&[7, 1, 2]));
    // The whole directory is removed.
    fs::remove_dir_all(dir.path()).unwrap();
    assert!(!log.is_intact());
    log.append(&3, 1, || vec![1, 2, 3]).unwrap();
    assert_eq!(open(dir.path(), Access::ReadWrite).1, held(&[1, 2, 3]));
    // Lines appended by another process are not continued.
    fs::write(&file, "\n").unwrap();
    log.append(&4, 1, || vec![4]).unwrap();
    assert_eq!(open(dir.path(), Access::ReadOnly).1, held(&[4]), "a file of another format is not read");
}
