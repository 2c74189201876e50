use super::*;

#[test]
fn an_address_may_take_longer_each_round_up_to_the_session_timeout() {
    let mut session = Session::default();
    let mut limits = Vec::new();
    for _ in 0..6 {
        limits.push(session.limit(Duration::from_secs(10)).as_secs());
        session.failed(Instant::now());
    }
    assert_eq!(limits, [1, 2, 4, 8, 10, 10]);
    assert_eq!(session.limit(Duration::from_millis(400)), LIMIT);
}

#[test]
fn pauses_are_short_first_and_never_over_half_a_minute() {
    let mut session = Session::default();
    for tries in 0..=QUICK {
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
fn being_away_is_said_at_once_at_the_start_and_after_a_moment_later_on() {
    let start = Instant::now();
    let mut session = Session::default();
    assert!(session.failed(start), "never reached");
    let lost = start + Duration::from_mins(1);
    session.suspend(start, lost, SessionId::for_tests(Duration::from_secs(10)));
    assert!(session.pause() <= JITTER, "the next server may be there");
    assert!(session.session_id().is_some());
    assert!(!session.failed(lost + Duration::from_millis(20)));
    for tries in 1..50 {
        assert!(session.pause() <= Duration::from_secs(1), "{tries}");
        assert!(session.failed(lost + GRACE * tries));
    }
}

#[test]
fn a_connection_that_breaks_at_once_again_and_again_is_no_reason_to_hurry() {
    let (start, mut longest) = (Instant::now(), Duration::ZERO);
    let mut session = Session::default();
    for _ in 0..200 {
        session.suspend(start, start + SHORT / 2, SessionId::for_tests(Duration::from_secs(10)));
        assert!(session.pause() >= Duration::from_millis(500));
        longest = longest.max(session.pause());
    }
    assert!(longest > Duration::from_secs(10));
    session.suspend(start, start + SHORT, SessionId::for_tests(Duration::from_secs(10)));
    assert!(session.pause() <= JITTER);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_has_heard_of_for_its_time_is_lost_once() {
    let mut session = Session::default();
    assert!(!session.is_newly_lost());
    session.keep(SessionId::for_tests(Duration::from_secs(10)));
    tokio::time::advance(Duration::from_millis(9800)).await;
    assert!(!session.is_newly_lost());
    assert_eq!(session.limit(Duration::from_secs(10)), LIMIT / 4, "a new one is had in time");
    tokio::time::advance(Duration::from_millis(200)).await;
    assert!(session.is_newly_lost());
    assert!(!session.is_newly_lost() && session.session_id().is_none());
}
