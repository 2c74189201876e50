use super::*;
use crate::config::Check;
use crate::model::node_path::NodePath;

fn config(rise: u32, fall: u32) -> Arc<ServiceConfig> {
    let path = NodePath::parse("/services/a").unwrap();
    let check = Check::Tcp("127.0.0.1:1".into());
    Arc::new(ServiceConfig { rise, fall, ..ServiceConfig::new("a", "default", path, 1, check) })
}

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

/// Runs one check a second: `+` passes, `-` fails. Returns what the service is after each: `?`, up `U` or down `D`.
fn run(rise: u32, fall: u32, checks: &str) -> String {
    let mut service = Service::new(config(rise, fall), at(0));
    let mut now = at(0);
    let states = checks.chars().map(|check| {
        now = service.next_check().unwrap();
        let number = service.start_check(now).unwrap();
        let result = if check == '+' { Ok(()) } else { Err("refused".to_owned()) };
        service.checked(now, number, result, 0.5);
        match service.is_up() {
            None => '?',
            Some(true) => 'U',
            Some(false) => 'D',
        }
    });
    states.collect()
}

#[test]
fn rise_passes_make_a_service_up_and_fall_failures_make_it_down() {
    for (rise, fall, checks, wanted) in [
        (1, 1, "+-+", "UDU"),
        (1, 2, "+-+--+", "UUUUDU"),
        (2, 2, "+-++-+--", "???UUUUD"),
        (3, 1, "-++-+++", "DDDDDDU"),
        (1, 2, "--", "?D"),
    ] {
        assert_eq!(run(rise, fall, checks), wanted, "rise {rise}, fall {fall}: {checks}");
    }
}

#[test]
fn transitions_are_events_with_the_reason() {
    let mut service = Service::new(config(1, 1), at(0));
    let mut events = Vec::new();
    for (second, result) in [(0, Ok(())), (30, Ok(())), (60, Err("refused".to_owned())), (90, Err("again".into()))] {
        let number = service.start_check(at(second)).unwrap();
        events.extend(service.checked(at(second), number, result, 0.5));
    }
    let name: Arc<str> = "a".into();
    assert_eq!(
        events,
        [
            Event::ServiceUp { service: Arc::clone(&name) },
            Event::ServiceDown { service: name, reason: "refused".into() }
        ]
    );
    assert_eq!((service.since(), service.last_error()), (at(60), Some("again")));
}

#[test]
fn checks_come_each_interval_from_their_start_and_never_twice_at_once() {
    let mut service = Service::new(config(1, 1), at(0));
    let number = service.start_check(at(0)).unwrap();
    assert_eq!((service.next_check(), service.start_check(at(100))), (None, None), "one is running");
    // It took 8 of the 30 s.
    service.checked(at(8), number, Ok(()), 0.5);
    assert_eq!(service.next_check(), Some(at(30)));
    let number = service.start_check(at(30)).unwrap();
    service.checked(at(30), number, Ok(()), 1.0);
    assert!(service.next_check().unwrap() > at(60) && service.next_check().unwrap() < at(62), "jittered");
    // A check that takes longer than the interval is followed by the next one at once.
    let number = service.start_check(at(70)).unwrap();
    service.checked(at(170), number, Ok(()), 0.5);
    assert!(service.next_check().unwrap() < at(171));
}

#[test]
fn the_result_of_an_earlier_configuration_does_not_count() {
    let mut service = Service::new(config(1, 1), at(0));
    let number = service.start_check(at(0)).unwrap();
    let other = ServiceConfig { check: Check::Tcp("127.0.0.1:2".into()), ..(*config(1, 1)).clone() };
    service.configure(Arc::new(other), at(1));
    assert_eq!(service.checked(at(2), number, Err("old".into()), 0.5), None);
    assert_eq!(service.is_up(), None);
    let number = service.start_check(at(2)).unwrap();
    service.checked(at(2), number, Ok(()), 0.5);
    // Another interval changes neither the health nor the check that is running.
    let number = service.start_check(at(40)).unwrap();
    service.configure(
        Arc::new(ServiceConfig { interval: Duration::from_secs(5), ..(**service.config()).clone() }),
        at(40),
    );
    service.checked(at(41), number, Ok(()), 0.5);
    assert_eq!((service.is_up(), service.next_check()), (Some(true), Some(at(45))));
}
