use proptest::prelude::*;

use super::*;

fn with(old: &str, text: &str) -> Result<String, String> {
    let new = splice(old.as_bytes(), &Block::new("c"), text.as_bytes(), Path::new("/etc/x"));
    new.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|setback| setback.to_string())
}

#[test]
fn a_block_is_replaced_and_nothing_else() {
    for (old, new) in [
        ("", "# BEGIN rosterd c\na\nb\n# END rosterd c\n"),
        ("x\n", "x\n# BEGIN rosterd c\na\nb\n# END rosterd c\n"),
        ("x", "x\n# BEGIN rosterd c\na\nb\n# END rosterd c\n"),
        ("x\r\ny", "x\r\ny\r\n# BEGIN rosterd c\r\na\r\nb\r\n# END rosterd c\r\n"),
        ("x\n# BEGIN rosterd c\nold\n# END rosterd c\ny", "x\n# BEGIN rosterd c\na\nb\n# END rosterd c\ny"),
        ("# BEGIN rosterd c\n# END rosterd c", "# BEGIN rosterd c\na\nb\n# END rosterd c"),
        (
            "x\r\n# BEGIN rosterd c\r\nold\r\n# END rosterd c\r\n",
            "x\r\n# BEGIN rosterd c\r\na\r\nb\r\n# END rosterd c\r\n",
        ),
        // As an administrator may have edited it.
        (
            " #BEGIN  rosterd c  (not by hand)\n\n#\tEND rosterd c \n",
            " #BEGIN  rosterd c  (not by hand)\na\nb\n#\tEND rosterd c \n",
        ),
        // As some editors save it.
        ("\u{feff}# BEGIN rosterd c\nold\n# END rosterd c\n", "\u{feff}# BEGIN rosterd c\na\nb\n# END rosterd c\n"),
        ("\u{feff}x\n", "\u{feff}x\n# BEGIN rosterd c\na\nb\n# END rosterd c\n"),
        // Another block may be broken.
        (
            "# END rosterd d\n# BEGIN rosterd c\n# END rosterd c\n# BEGIN rosterd d\n",
            "# END rosterd d\n# BEGIN rosterd c\na\nb\n# END rosterd c\n# BEGIN rosterd d\n",
        ),
        // Not a marker.
        (
            "BEGIN rosterd c\n# begin rosterd c\n",
            "BEGIN rosterd c\n# begin rosterd c\n# BEGIN rosterd c\na\nb\n# END rosterd c\n",
        ),
    ] {
        for text in ["a\nb\n", "a\nb", "a\r\nb\r\n"] {
            assert_eq!(with(old, text).as_deref(), Ok(new), "{old:?} {text:?}");
        }
    }
    assert_eq!(with("# BEGIN rosterd c\na\n# END rosterd c\n", "").unwrap(), "# BEGIN rosterd c\n# END rosterd c\n");
}

#[test]
fn other_comment_signs_are_supported() {
    let block = Block { comment: ";".into(), ..Block::new("c") };
    let new = splice(b"[a]\n# BEGIN rosterd c\n", &block, b"x=1", Path::new("/x")).unwrap();
    assert_eq!(new, b"[a]\n# BEGIN rosterd c\n; BEGIN rosterd c\nx=1\n; END rosterd c\n");
}

#[test]
fn invalid_markers_are_reported_with_their_lines() {
    for (old, why) in [
        ("x\n# BEGIN rosterd c\n", "line 2 begins block c, and no line ends it"),
        ("x\n# BEGIN rosterd d\n", "line 2 begins block d, and no line ends it"),
        ("x\n# END rosterd c\n", "line 2 ends block c, and no line above it begins it"),
        ("# END rosterd c\n# BEGIN rosterd c\n", "line 1 ends block c, and no line above"),
        (
            "# BEGIN rosterd c\n# END rosterd c\n# BEGIN rosterd c\n# END rosterd c\n",
            "lines 1 and 3 both begin block c",
        ),
        (
            "# BEGIN rosterd c\n# BEGIN rosterd c\n# END rosterd c\n",
            "line 2 begins block c inside block c, which line 1",
        ),
        ("# BEGIN rosterd c\n# END rosterd c\n# END rosterd c\n", "line 3 ends block c, and no line above"),
        (
            "# BEGIN rosterd c\n# BEGIN rosterd d\n# END rosterd d\n# END rosterd c\n",
            "line 2 begins block d inside block c, which line 1 begins",
        ),
        (
            "# BEGIN rosterd d\n# BEGIN rosterd c\n# END rosterd c\n# END rosterd d\n",
            "line 2 begins block c inside block d, which line 1 begins",
        ),
        ("# BEGIN rosterd c\n# END rosterd d\n# END rosterd c\n", "line 2 ends block d inside block c"),
    ] {
        let said = with(old, "a\n").unwrap_err();
        assert!(said.starts_with("cannot replace block c of /etc/x: ") && said.contains(why), "{old:?}: {said}");
        assert!(said.contains("correct /etc/x by hand"), "{said}");
    }
    for text in ["a\n# END rosterd c\n", "a\n#END rosterd z", "a\n  # BEGIN rosterd c x\r\n"] {
        let said = with("x\n", text).unwrap_err();
        assert!(said.contains("line 2 of the rendered text is a block marker"), "{said}");
    }
}

#[test]
fn host_names_on_other_lines_are_found() {
    let hosts = b"127.0.0.1 localhost\n10.0.0.1 ZK1 zk1.example # zk2\nnonsense zk3\n# BEGIN rosterd c\n\
        10.0.0.1 zk1\n10.0.0.2 zk2\n10.0.0.3 zk3 zk4\n# END rosterd c\n#10.0.0.2 zk2\nfe80::1 zk4\n1.1.1.1 zk4";
    assert_eq!(shadowed_hosts(hosts, &Block::new("c")), [("zk1".to_owned(), 2), ("zk4".to_owned(), 10)]);
    assert_eq!(shadowed_hosts(b"10.0.0.1 a a\n", &Block::new("c")), []);
}

/// The bytes outside a block's markers, and those inside.
fn apart(file: &[u8], block: &Block) -> (Vec<u8>, Vec<u8>) {
    let inner = find(file, block).unwrap().unwrap();
    ([&file[..inner.start], &file[inner.end..]].concat(), file[inner].to_vec())
}

/// Files with all kinds of lines, complete or not, and rendered text.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("10.0.0.1 a".to_owned()),
        Just("# BEGIN rosterd other".to_owned()),
        Just("# END rosterd other".to_owned()),
        Just("#BEGIN".to_owned()),
        "[ -~\\r\u{e9}]{0,6}",
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r"), Just("")];
    let lines = prop::collection::vec((line, end).prop_map(|(line, end)| line + end), 0..8);
    (lines, prop::collection::vec(any::<u8>(), 0..3))
        .prop_map(|(lines, more)| [lines.concat().into_bytes(), more].concat())
}

/// Rendered text.
fn plain() -> impl Strategy<Value = Vec<u8>> {
    text().prop_map(|text| lines(&text).filter(|line| marker(line, "#").is_none()).collect::<Vec<_>>().concat())
}

proptest! {
    #![proptest_config(crate::support::random::config(500, 20_000))]

    #[test]
    fn bytes_outside_stay(old in text(), texts in prop::collection::vec(plain(), 1..4)) {
        let (block, dest) = (Block::new("c"), Path::new("/x"));
        let Ok(mut file) = splice(&old, &block, &texts[0], dest) else { return Ok(()) };
        prop_assert!(file.starts_with(&old));
        prop_assert_eq!(&splice(&file, &block, &texts[0], dest).unwrap(), &file, "inserting the same text again changes nothing");
        let outside = apart(&file, &block).0;
        for text in &texts {
            file = splice(&file, &block, text, dest).unwrap();
            let (now, inner) = apart(&file, &block);
            prop_assert_eq!(&now, &outside);
            let ended = |end| { let mut lines = Vec::new(); push_lines(&mut lines, text, end); lines };
            prop_assert!([ended(b"\n"), ended(b"\r\n")].contains(&inner));
        }
    }

    #[test]
    fn any_two_blocks_commute(old in text(), a in plain(), b in plain(), new_a in plain(), new_b in plain()) {
        let (left, right, dest) = (Block::new("left"), Block::new("right"), Path::new("/x"));
        let both = splice(&old, &left, &a, dest).and_then(|file| splice(&file, &right, &b, dest));
        let Ok(file) = both else { return Ok(()) };
        let one = splice(&splice(&file, &left, &new_a, dest).unwrap(), &right, &new_b, dest).unwrap();
        let other = splice(&splice(&file, &right, &new_b, dest).unwrap(), &left, &new_a, dest).unwrap();
        prop_assert_eq!(one, other);
    }
}
