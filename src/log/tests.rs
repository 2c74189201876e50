use std::sync::Mutex;

use tokio::sync::broadcast::error::TryRecvError;

use super::*;

/// Keeps each trace as a line.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<String>>);

impl<S: Subscriber> Layer<S> for Kept {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let line = Format::Text { colour: false }.format(&Line::from(event), SystemTime::UNIX_EPOCH);
        self.0.lock().unwrap().push_str(&line);
    }
}

#[test]
fn what_a_library_logs_is_a_line_with_its_fields() {
    let kept = Kept::default();
    tracing::subscriber::with_default(Registry::default().with(kept.clone()), || {
        tracing::warn!(n = 3, ok = true, text = "a \"b\"\n", reason = "one\ntwo\u{1b}[2J", "lost");
    });
    let expected = "1970-01-01T00:00:00Z  WARN lost: one n=3 ok=true text=\"a \\\"b\\\"\\n\"\n    | two\\u{1b}[2J\n";
    assert_eq!(*kept.0.lock().unwrap(), expected);
}

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
    assert!(slow.try_recv().is_ok(), "and continues with the oldest event that is left");
}

#[test]
fn a_long_text_is_cut_between_characters() {
    assert_eq!((cut("aé", 2), cut("aé", 3)), ("a…".into(), "aé".into()));
}
