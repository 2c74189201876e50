use tokio::sync::broadcast::error::TryRecvError;

use super::*;

#[test]
fn a_second_init_and_a_wrong_filter_do_no_harm() {
    // "off" first: the first one stays for the whole test program.
    init(LogFormat::Text, Some("off"));
    init(LogFormat::Json, Some("rosterd=[[["));
}

#[test]
fn a_slow_subscriber_loses_the_oldest_events_and_learns_how_many() {
    let (mut slow, mut quick) = (subscribe(), subscribe());
    // Other tests of this program may emit events too.
    let is_own = |event: &Event| matches!(event, Event::HoldAccepted { roster, .. } if &**roster == "slow");
    let all = BACKLOG + 10;
    let mut seen = 0;
    for uid in 0..u32::try_from(all).unwrap() {
        emit(Event::HoldAccepted { roster: "slow".into(), uid });
        while let Ok(event) = quick.try_recv() {
            seen += usize::from(is_own(&event));
        }
    }
    assert_eq!(seen, all, "one that keeps up loses none");
    assert!(matches!(slow.try_recv(), Err(TryRecvError::Lagged(lost)) if lost >= 10));
    assert!(slow.try_recv().is_ok(), "and goes on with the oldest that is left");
}

#[test]
fn a_long_text_is_cut_between_characters() {
    assert_eq!((cut("aé", 2), cut("aé", 3)), ("a…".into(), "aé".into()));
}
