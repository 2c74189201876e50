//! A file that another process has changed.

use std::sync::Arc;

use crate::config::OnDrift;
use crate::decide::{Event, Failure, Input, Outcome, ReloadOutcome, Stage, TemplatePlan};

use super::harness::{Bench, plan, present, roster, seconds, template, web};

fn bench(on_drift: OnDrift) -> Bench {
    let made = template("t", &["web"], "reload");
    let mut config = (*made.config).clone();
    config.on_drift = on_drift;
    let made = TemplatePlan { config: Arc::new(config), ..made };
    let mut bench = Bench::new(plan(vec![roster("web", web())], Vec::new(), vec![made]));
    bench.reset(&web(), present(&["a", "b"]));
    bench.pass(seconds(3));
    bench.publish(Outcome::Replaced);
    bench.reload(ReloadOutcome::Succeeded);
    bench.pass(seconds(10));
    assert!(bench.is_idle());
    bench
}

fn drifted(bench: &mut Bench, what: &str) {
    bench.input(Input::Drifted(Arc::from("t"), Some(what.to_owned())));
}

fn said(bench: &Bench) -> usize {
    bench
        .events
        .iter()
        .filter(|event| matches!(event, Event::DriftDetected { .. } | Event::DriftDisputed { .. }))
        .count()
}

fn since(bench: &Bench) -> bool {
    bench.engine.templates()["t"].drift().is_some()
}

#[test]
fn a_changed_file_is_published_again_and_reloaded() {
    let mut bench = bench(OnDrift::Correct);
    drifted(&mut bench, "gone");
    assert!(since(&bench));
    bench.publish(Outcome::Replaced);
    bench.reload(ReloadOutcome::Succeeded);
    assert_eq!((said(&bench), since(&bench)), (1, false));
    // A later drift is reported again. A touch without a change needs no reload.
    bench.pass(seconds(10));
    drifted(&mut bench, "gone");
    bench.publish(Outcome::Unchanged);
    assert!(bench.is_idle());
    assert_eq!((said(&bench), since(&bench)), (2, false));
}

#[test]
fn a_failing_correction_is_reported_once_and_backs_off() {
    let mut bench = bench(OnDrift::Correct);
    let refused = || Outcome::Failed(Failure::new(Stage::Write, "a link"));
    drifted(&mut bench, "a link");
    bench.publish(refused());
    for _ in 0..5 {
        drifted(&mut bench, "a link");
    }
    assert!(bench.is_idle(), "the retry waits for its backoff");
    assert_eq!(said(&bench), 1);
    bench.pass(seconds(1));
    bench.publish(refused());
    drifted(&mut bench, "gone");
    bench.publish(Outcome::Replaced);
    assert_eq!((said(&bench), since(&bench)), (2, false));
}

#[test]
fn a_drift_during_a_publication_is_handled_after_it() {
    let mut bench = bench(OnDrift::Correct);
    drifted(&mut bench, "edited");
    drifted(&mut bench, "gone");
    assert_eq!(bench.publications.len(), 1);
    bench.publish(Outcome::Replaced);
    assert_eq!(bench.publications.len(), 1);
    bench.publish(Outcome::Unchanged);
    assert!(bench.publications.is_empty());
}

#[test]
fn with_report_nothing_is_published_until_something_changes() {
    let mut bench = bench(OnDrift::Report);
    drifted(&mut bench, "edited");
    bench.pass(seconds(1000));
    assert!(bench.is_idle() && since(&bench));
    bench.reset(&web(), present(&["a", "b", "c"]));
    bench.pass(seconds(3));
    bench.publish(Outcome::Replaced);
    assert_eq!((said(&bench), since(&bench)), (1, false));
}

#[test]
fn a_drift_before_the_result_of_a_publication_is_not_lost() {
    let mut bench = bench(OnDrift::Correct);
    drifted(&mut bench, "gone");
    // The new file was in place already, and was changed again.
    drifted(&mut bench, "gone");
    assert_eq!(said(&bench), 1);
    bench.publish(Outcome::Replaced);
    bench.publish(Outcome::Replaced);
    assert!(bench.publications.is_empty() && !since(&bench));
}

#[test]
fn a_drift_that_another_process_reverts_is_resolved() {
    for on_drift in [OnDrift::Report, OnDrift::Correct] {
        let mut bench = bench(on_drift);
        bench.input(Input::Paused(bench.now + seconds(100)));
        drifted(&mut bench, "edited");
        assert!(since(&bench));
        bench.input(Input::Drifted(Arc::from("t"), None));
        assert!(!since(&bench));
        assert_eq!(bench.events.iter().filter(|it| matches!(it, Event::DriftResolved { .. })).count(), 1);
        // Without a drift nothing is reported.
        bench.input(Input::Drifted(Arc::from("t"), None));
        assert_eq!(bench.events.iter().filter(|it| matches!(it, Event::DriftResolved { .. })).count(), 1);
    }
}

#[test]
fn with_report_repeated_edits_are_reported_once() {
    let mut bench = bench(OnDrift::Report);
    for size in 0..100 {
        drifted(&mut bench, &format!("{size} bytes"));
        bench.pass(seconds(1));
    }
    assert_eq!(said(&bench), 1);
    assert_eq!(
        bench.engine.templates()["t"].drift().unwrap().what,
        "99 bytes",
        "and the current difference is reported"
    );
}

#[test]
fn corrections_of_a_disputed_file_back_off_but_never_stop() {
    let mut bench = bench(OnDrift::Correct);
    let begun = bench.now;
    let mut replaced = Vec::new();
    // The other tool overwrites the file at once each time, always with different text.
    for number in 0..3600 {
        if !since(&bench) || number % 3 == 0 {
            drifted(&mut bench, &format!("edited {number}"));
        }
        while !bench.publications.is_empty() {
            replaced.push(bench.now.since(begun).as_secs());
            bench.publish(Outcome::Replaced);
        }
        while !bench.reloads.is_empty() {
            bench.reload(ReloadOutcome::Succeeded);
        }
        bench.pass(seconds(1));
    }
    assert_eq!(replaced[..3], [0, 1, 2], "without a delay at first");
    let pauses: Vec<u64> = replaced.windows(2).skip(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses.windows(2).all(|two| two[0] <= two[1] + 1), "{pauses:?}");
    assert!(pauses[0] >= 10 && pauses.last().is_some_and(|last| (300..=305).contains(last)), "{pauses:?}");
    assert!(replaced.len() < 22, "{} times in an hour", replaced.len());
    assert!(said(&bench) <= replaced.len() + 1, "at most one report for each");
    let disputed = bench.events.iter().find_map(|event| match event {
        Event::DriftDisputed { corrections, retry_in_s, .. } => Some((*corrections, *retry_in_s)),
        _ => None,
    });
    assert_eq!(disputed, Some((3, 10)));
    // The agent writes last: after the backoff it corrects what it finds.
    if !since(&bench) {
        drifted(&mut bench, "edited last");
    }
    let waits = bench.engine.templates()["t"].drift().unwrap().deferred;
    assert!(waits.is_some() && bench.engine.next_wake().is_some());
    bench.pass(seconds(300));
    bench.publish(Outcome::Replaced);
    assert!(!since(&bench));
    // A change of members is written at once.
    bench.pass(seconds(1));
    drifted(&mut bench, "edited");
    assert!(bench.publications.is_empty());
    bench.reset(&web(), present(&["a", "b", "c"]));
    bench.pass(seconds(3));
    bench.publish(Outcome::Replaced);
    bench.pass(seconds(1));
    // After a quiet time the next drift is corrected at once.
    while !bench.reloads.is_empty() {
        bench.reload(ReloadOutcome::Succeeded);
    }
    bench.pass(seconds(1000));
    drifted(&mut bench, "edited");
    assert_eq!(bench.publications.len(), 1);
}

#[test]
fn nothing_is_corrected_during_a_pause() {
    let mut bench = bench(OnDrift::Correct);
    bench.input(Input::Paused(bench.now + seconds(100)));
    drifted(&mut bench, "gone");
    assert!(bench.is_idle() && since(&bench));
    bench.input(Input::Resumed);
    bench.publish(Outcome::Replaced);
    assert!(!since(&bench));
}
