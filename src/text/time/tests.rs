use std::time::UNIX_EPOCH;

use super::*;

#[test]
fn dates_are_correct_around_leap_days() {
    for (seconds, date) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (1_795_174_801, "2026-11-20T11:40:01Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ] {
        assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), date);
    }
}

#[test]
fn a_person_reads_the_local_time_and_how_long_it_is() {
    let zone = |posix: &str| Zone(TimeZone::posix(posix).unwrap());
    let noon = UNIX_EPOCH + Duration::from_secs(1_795_174_801);
    let later = |seconds| noon + Duration::from_secs(seconds);
    for (zone, text) in [
        (zone("CET-1"), "2026-11-20T11:40:01Z (12:40:01 CET, 3m 5s ago)"),
        (zone("NZDT-13"), "2026-11-20T11:40:01Z (2026-11-21 00:40:01 NZDT, 3m 5s ago)"),
        (zone("GMT0"), "2026-11-20T11:40:01Z (3m 5s ago)"),
        (Zone::utc(), "2026-11-20T11:40:01Z (3m 5s ago)"),
    ] {
        assert_eq!(past(noon, later(185), &zone), text);
    }
    for (seconds, text) in [
        (0, "in 1s"),
        (65, "in 1m 5s"),
        (14 * 60 + 59, "in 14m"),
        (3 * 3600 + 119, "in 3h 1m"),
        (50 * 3600 + 119, "in 2d 2h"),
        (366 * 86_400, "in 366d"),
    ] {
        assert_eq!(to_come(later(seconds), noon, &zone("CET-1")).rsplit_once(", ").unwrap().1, format!("{text})"));
    }
    assert_eq!(past(later(5), noon, &Zone::utc()), "2026-11-20T11:40:06Z (0s ago)", "a clock that was set back");
}
