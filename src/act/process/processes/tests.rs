use super::*;

#[test]
fn a_stat_line_is_parsed_with_any_program_name() {
    let process = |parent, group, ended| Some(Process { pid: 12, parent, group, started: 99, ended });
    let cases = [
        ("12 (sleep) S 1 7", process(1, 7, false)),
        ("12 (a) Z 1 9) D 1 7", process(1, 7, false)),
        ("12 (sleep) Z 1 7", process(1, 7, true)),
        ("12 (sleep) S 7 8", process(7, 8, false)),
        ("12 (sleep", None),
        ("", None),
    ];
    for (stat, expected) in cases {
        assert_eq!(read(&format!("{stat} 7 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 99 100 101")), expected, "{stat}");
        assert_eq!(read(stat), None, "cut off: {stat}");
    }
}

#[test]
fn a_name_truncated_within_a_character_hides_no_process() {
    let dir = tempfile::TempDir::new().unwrap();
    // 16 bytes, of which the system keeps 15.
    let program = dir.path().join("ääääääää");
    fs::copy("/bin/sleep", &program).unwrap();
    let mut child = std::process::Command::new(&program).arg("1000").spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let seen = all().unwrap().find(|process| process.pid == pid);
    let named = name(pid);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen.map(|process| process.pid), Some(pid));
    assert_eq!(named, "äääääää\u{fffd}");
}

#[test]
fn command_names_are_short_and_escaped_and_show_no_secrets() {
    let cases: [(&[u8], &str); 7] = [
        (b"sleep\x001000\0", "sleep 1000"),
        (b"sh\0-c\0echo x\0", "sh"),
        (b"db\0start\0--password\0secret\0", "db start"),
        (b"nginx: worker process\0\0\0", "nginx: worker process"),
        (b"get\0http://user:secret@host/\0", "get"),
        (b"a\x1b[31m\nb\0", "a\\u{1b}[31m\\nb"),
        (b"", ""),
    ];
    for (line, expected) in cases {
        assert_eq!(first_words(line), expected);
    }
    assert_eq!(first_words("é".repeat(70).as_bytes()), "é".repeat(60) + "…");
}
