use super::*;

#[test]
fn pins_are_read_as_they_were_saved() {
    let dir = tempfile::TempDir::new().unwrap();
    assert_eq!(load(dir.path()), Ok(BTreeMap::new()));
    let pin = |content: &[u8], reason: Option<&str>| SavedPin {
        generation: 41,
        content: content.to_vec(),
        since: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        uid: 7,
        reason: reason.map(str::to_owned),
    };
    let pins = BTreeMap::from([
        ("haproxy.cfg".to_owned(), pin(b"\xff\0binary", Some("bad release"))),
        ("vhosts[web]".to_owned(), pin(b"", None)),
    ]);
    save(dir.path(), pins.clone()).unwrap();
    assert_eq!(load(dir.path()), Ok(pins));
    save(dir.path(), BTreeMap::new()).unwrap();
    assert_eq!(load(dir.path()), Ok(BTreeMap::new()));
}

#[test]
fn a_file_that_is_damaged_or_newer_is_an_error() {
    let dir = tempfile::TempDir::new().unwrap();
    for (text, wanted) in [
        ("", "EOF"),
        ("{\"version\": 2, \"pins\": {}}", "version 2"),
        (
            "{\"version\": 1, \"pins\": {\"a\": {\"generation\": 1, \"since\": 1, \"uid\": 0, \"reason\": null, \"content\": \"?\"}}}",
            "the content of a",
        ),
    ] {
        std::fs::write(file(dir.path()), text).unwrap();
        let why = load(dir.path()).unwrap_err();
        assert!(why.contains(wanted), "{text}: {why}");
    }
}
