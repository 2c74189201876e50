use super::*;

#[test]
fn durations_need_units_and_have_a_maximum() {
    for (text, want) in [("500ms", 500), ("2s", 2_000), ("5m", 300_000), ("0s", 0), ("1m 30s", 90_000)] {
        assert_eq!(duration(text), Ok(Duration::from_millis(want)), "{text}");
    }
    for text in ["", "2", "-2s", "2 parsecs", "s", "367d", "99999999999999999999s", "18446744073709551615y"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn a_wait_has_a_minimum_and_a_maximum() {
    assert_eq!(wait("200ms:2s"), Ok(Wait::DEFAULT));
    assert_eq!(wait("2s"), Ok(Wait { quiet: Duration::from_secs(2), max: Duration::from_secs(8) }));
    assert_eq!(wait("0s"), Ok(Wait::NONE));
    for text in ["2s:1s", "2s:", ":2s", "1s:2s:3s"] {
        assert!(wait(text).is_err(), "{text}");
    }
}

#[test]
fn modes_are_octal() {
    for (text, want) in [("0644", 0o644), ("640", 0o640), ("4755", 0o4755), ("07777", 0o7777)] {
        assert_eq!(mode(text), Ok(want), "{text}");
    }
    for text in ["", "0o644", "0888", "10000", "+644", "u=rw", "77777777777777"] {
        assert!(mode(text).is_err(), "{text}");
    }
}

#[test]
fn percentages_are_at_most_100() {
    assert_eq!((percent("0%"), percent("50%"), percent("100%")), (Ok(0), Ok(50), Ok(100)));
    for text in ["50", "%", "-1%", "101%", "5.5%", "+5%", "999%"] {
        assert!(percent(text).is_err(), "{text}");
    }
}
