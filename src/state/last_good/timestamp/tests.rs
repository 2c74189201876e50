use super::*;

#[test]
fn moments_survive_a_restart_but_not_a_reboot() {
    let clock = |boot: &str, up| BootClock::new(Timestamp { boot: boot.into(), up, wall: 0 });
    let after = |secs| Moment::START + Duration::from_secs(secs);
    let (first, second) = (clock("one", 100), clock("one", 400));
    assert_eq!((first.up(after(50)), first.up(Moment::START - Duration::from_millis(2500))), (150, 97));
    assert_eq!(second.moment("one", 150), Some(Moment::START - Duration::from_secs(250)));
    assert_eq!(second.moment("one", 430), Some(after(30)));
    let before = second.moment("one", 150).unwrap();
    assert_eq!(second.up(before), 150, "writing it again changes nothing");
    assert_eq!(second.moment("two", 150), None);
    assert_eq!(clock("", 400).moment("", 150), None);
}

#[test]
fn the_calendar_counts_only_across_a_reboot() {
    let at = |boot: &str, up, wall| Timestamp { boot: boot.into(), up, wall };
    let secs = |a: &Timestamp, b: &Timestamp| a.since(b).map(|since| since.as_secs());
    let then = at("one", 100, 1000);
    assert_eq!(secs(&at("one", 160, 5), &then), Some(60), "a calendar that was set back is ignored");
    assert_eq!(secs(&at("two", 5, 1900), &then), Some(900));
    assert_eq!(secs(&at("two", 5, 900), &then), None);
    assert_eq!(secs(&at("", 160, 1900), &at("", 100, 1000)), Some(900));
    let now = Timestamp::now();
    assert!(now.boot.len() == 36 && now.up > 0 && now.wall > 1_700_000_000, "{now:?}");
}
