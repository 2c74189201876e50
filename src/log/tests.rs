use std::sync::Mutex;

use tokio::sync::broadcast::error::TryRecvError;

use super::*;

/// Saves each trace as a line.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<String>>);

impl<S: Subscriber> Layer<S> for Kept {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let line = Format::Text { colour: false }.format(&Line::from(event), SystemTime::UNIX_EPOCH);
        self.0.lock().unwrap().push_str(&line);
    }
}

#[test]
fn log_records_of_libraries_become_lines_with_their_fields() {
    let kept = Kept::default();
    tracing::subscriber::with_default(Registry::default().with(kept.clone()), || {
        tracing::warn!(n = 3, ok = true, text = "a \"b\"\n", reason = "one\ntwo\u{1b}[2J", "lost");
    });
    let expected = "1970-01-01T00:00:00Z  WARN lost: one n=3 ok=true text=\"a \\\"b\\\"\\n\"\n    | two\\u{1b}[2J\n";
    assert_eq!(*kept.0.lock().unwrap(), expected);
}

#[test]
fn a_second_init_and_an_invalid_filter_are_ignored() {
    // "off" first: the first filter applies to the whole test process.
    init(LogFormat::Text, Some("off"));
    init(LogFormat::Json, Some("rosterd=[[["));
}

#[test]
fn a_slow_subscriber_loses_the_oldest_events_and_is_told_how_many() {
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
    assert_eq!(seen, all, "a subscriber that keeps up loses none");
    assert!(matches!(slow.try_recv(), Err(TryRecvError::Lagged(lost)) if lost >= 10));
    assert!(slow.try_recv().is_ok(), "and continues with the oldest remaining event");
}

#[test]
fn an_observer_misses_no_event_and_a_subscriber_gets_no_details() {
    let seen = Arc::new(Mutex::new((0, 0)));
    let counts = Arc::clone(&seen);
    observe(move |event| match event {
        Event::HoldAccepted { roster, .. } if &**roster == "observed" => counts.lock().unwrap().0 += 1,
        Event::ServiceChecked { service, .. } if &**service == "observed" => counts.lock().unwrap().1 += 1,
        _ => {}
    });
    let mut lagging = subscribe();
    let all = BACKLOG + 10;
    for uid in 0..u32::try_from(all).unwrap() {
        emit(Event::ServiceChecked { service: "observed".into(), outcome: "passed", took_us: 1 });
        emit(Event::HoldAccepted { roster: "observed".into(), uid });
    }
    assert_eq!(*seen.lock().unwrap(), (all, all));
    let mut got = Vec::new();
    while let Ok(event) =
        lagging.try_recv().or_else(|why| if why == TryRecvError::Empty { Err(why) } else { lagging.try_recv() })
    {
        got.push(event.kind().name);
    }
    assert!(got.len() > 10 && !got.contains(&"service_checked"), "{got:?}");
}

#[test]
fn a_long_text_is_cut_between_characters() {
    assert_eq!((cut("aé", 2), cut("aé", 3)), ("a…".into(), "aé".into()));
}
