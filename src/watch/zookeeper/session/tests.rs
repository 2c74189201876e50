use super::*;

#[test]
fn the_address_timeout_doubles_each_round_up_to_the_session_timeout() {
    let mut session = Session::default();
    let mut limits = Vec::new();
    for _ in 0..6 {
        limits.push(session.address_timeout(Duration::from_secs(10), false).as_secs());
        session.failed(Instant::now());
    }
    assert_eq!(limits, [1, 2, 4, 8, 10, 10]);
    assert_eq!(session.address_timeout(Duration::from_millis(400), false), ADDRESS_TIMEOUT);
}

#[test]
fn pauses_are_short_first_and_at_most_half_a_minute() {
    let mut session = Session::default();
    for tries in 0..=QUICK_TRIES {
        session.failed(Instant::now());
        let pause = session.pause().as_millis();
        assert!((500..=1000).contains(&pause), "{tries}: {pause}");
    }
    for _ in 0..1000 {
        session.failed(Instant::now());
        assert!(session.pause() <= Duration::from_secs(30));
    }
    assert!(session.pause() >= Duration::from_secs(15));
}

#[test]
fn unreachable_is_reported_at_once_at_the_start_and_after_a_grace_period_later() {
    let start = Instant::now();
    let mut session = Session::default();
    assert!(session.failed(start), "never connected");
    let lost = start + Duration::from_mins(1);
    session.suspend(start, lost, SessionId::for_tests(Duration::from_secs(10)));
    assert!(session.pause() <= RECONNECT_JITTER, "another server may be up");
    assert!(session.id().is_some());
    assert!(!session.failed(lost + Duration::from_millis(20)));
    for tries in 1..50 {
        assert!(session.pause() <= Duration::from_secs(1), "{tries}");
        assert!(session.failed(lost + GRACE * tries));
    }
}

#[test]
fn connections_that_break_at_once_back_off() {
    let (start, mut longest) = (Instant::now(), Duration::ZERO);
    let mut session = Session::default();
    for _ in 0..200 {
        session.suspend(start, start + MIN_USEFUL / 2, SessionId::for_tests(Duration::from_secs(10)));
        assert!(session.pause() >= Duration::from_millis(500));
        longest = longest.max(session.pause());
    }
    assert!(longest > Duration::from_secs(10));
    session.suspend(start, start + MIN_USEFUL, SessionId::for_tests(Duration::from_secs(10)));
    assert!(session.pause() <= RECONNECT_JITTER);
}

#[tokio::test(start_paused = true)]
async fn a_session_unheard_for_its_timeout_is_dropped_once() {
    let mut session = Session::default();
    assert_eq!(session.drop_expired(), None);
    session.set_id(SessionId::for_tests(Duration::from_secs(10)));
    tokio::time::advance(Duration::from_millis(9800)).await;
    assert_eq!(session.drop_expired(), None);
    assert_eq!(
        session.address_timeout(Duration::from_secs(10), false),
        ADDRESS_TIMEOUT / 4,
        "there is time for a new session"
    );
    tokio::time::advance(Duration::from_millis(200)).await;
    assert_eq!(session.drop_expired(), Some(Duration::from_secs(10)));
    assert!(session.drop_expired().is_none() && session.id().is_none());
}

#[tokio::test(start_paused = true)]
async fn while_a_session_can_be_resumed_tries_come_soon_and_waste_little_time() {
    let mut session = Session::default();
    session.set_id(SessionId::for_tests(Duration::from_secs(12)));
    let limits =
        |session: &Session, has_failed| session.address_timeout(Duration::from_secs(12), has_failed).as_millis();
    for (limit, failed_before) in [(1000, 250), (2000, 500), (4000, 1000)] {
        assert_eq!((limits(&session, false), limits(&session, true)), (limit, failed_before));
        session.no_server(Instant::now());
        assert!(session.pause() <= Duration::from_millis(500), "{:?}", session.pause());
    }
    // A connection that breaks at once is not tried again so soon.
    session.failed(Instant::now());
    assert!(session.pause() >= Duration::from_millis(500));
    session.drop_id();
    session.no_server(Instant::now());
    assert!(session.pause() >= Duration::from_millis(500));
    assert_eq!(limits(&session, true), 12_000, "nothing is lost with a new session");
}
