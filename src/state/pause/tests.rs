use super::*;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn a_pause_survives_a_restart_and_ends() {
    let dir = tempfile::TempDir::new().unwrap();
    assert_eq!(Pause::load(dir.path(), at(0)), None);
    let pause = Pause::new(at(1000), Duration::from_mins(1), Some("a\nb".into()), 7);
    pause.save(dir.path()).unwrap();
    let kept = Pause::load(dir.path(), at(1010)).unwrap();
    assert_eq!(
        (kept.remaining(at(1010)), kept.reason, kept.uid),
        (Some(Duration::from_secs(51)), Some("a\nb".into()), 7)
    );
    assert_eq!(Pause::load(dir.path(), at(1061)), None, "over by time");
    assert!(
        Pause::load(dir.path(), at(0)).unwrap().remaining(at(0)).unwrap() <= Duration::from_secs(61),
        "the pause does not become longer"
    );
    Pause::delete(dir.path()).unwrap();
    Pause::delete(dir.path()).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_unreadable_file_is_a_pause_of_an_hour() {
    let dir = tempfile::TempDir::new().unwrap();
    let newer = r#"{"version": 2, "since": 0, "until": 1, "reason": null, "uid": 0}"#;
    for text in ["", "{", newer] {
        std::fs::write(Pause::file(dir.path()), text).unwrap();
        assert_eq!(Pause::load(dir.path(), at(5)).unwrap().remaining(at(5)), Some(DEFAULT_DURATION), "{text}");
    }
}
