use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_session_is_kept_for_its_registry_and_hidden_from_other_users() {
    let dir = tempfile::tempdir().unwrap();
    let file = SavedSession::file(dir.path(), "a/b");
    let mut saved = SavedSession::load(&file, "zk://a").unwrap();
    assert_eq!(saved.session(), None);
    let id = NodeId { directory: NodePath::parse("/s").unwrap(), name: NodeName::Fixed("h:1".into()) };
    saved.set_session(7, b"secret", Duration::from_secs(10));
    saved.set_nodes([(&id, "web")].into_iter());
    saved.save(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!format!("{saved:?}").contains("115"), "the password is not shown");
    let loaded = SavedSession::load(&file, "zk://a").unwrap();
    assert_eq!(loaded.session(), Some((7, b"secret".to_vec(), Duration::from_secs(10))));
    assert_eq!(loaded.nodes().collect::<Vec<_>>(), [(id, "web")]);
    assert_eq!(SavedSession::load(&file, "zk://other").unwrap().session(), None);
    let newer = r#"{"version":2,"url":"","id":1,"password":[],"timeout_ms":1,"earlier":[],"nodes":[]}"#;
    for (bytes, wanted) in [("{}", "missing field"), ("", "EOF"), (newer, "version is 2")] {
        std::fs::write(&file, bytes).unwrap();
        assert!(SavedSession::load(&file, "zk://a").unwrap_err().contains(wanted), "{bytes}");
    }
}

#[test]
fn a_bounded_number_of_earlier_sessions_is_remembered() {
    let mut saved = SavedSession::none("zk://a");
    for id in 1..=20 {
        saved.set_session(id, b"", Duration::from_secs(1));
        saved.set_session(id, b"", Duration::from_secs(1));
    }
    assert_eq!((saved.id, &*saved.earlier), (Some(20), &[12, 13, 14, 15, 16, 17, 18, 19][..]));
}
