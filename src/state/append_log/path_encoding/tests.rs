use super::*;

#[test]
fn every_path_is_read_as_it_was_written() {
    for bytes in [&b"/etc/a b"[..], b"/etc/\xff\"\n"] {
        let path = PathBuf::from(OsString::from_vec(bytes.to_vec()));
        let json = serde_json::to_string(&EncodedPath::from(&*path)).unwrap();
        assert_eq!(PathBuf::from(serde_json::from_str::<EncodedPath>(&json).unwrap()), path, "{json}");
    }
}
