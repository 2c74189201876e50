//! A destination that somebody else has changed.

use std::sync::Arc;

use rosterd::config::OnDrift;
use rosterd::decide::{Failure, Input, Notice, Outcome, Ran, Stage, TemplatePlan};

use crate::harness::{Bench, plan, present, roster, seconds, template, web};

fn bench(on_drift: OnDrift) -> Bench {
    let made = template("t", &["web"], "reload");
    let mut config = (*made.config).clone();
    config.on_drift = on_drift;
    let made = TemplatePlan { config: Arc::new(config), ..made };
    let mut bench = Bench::new(plan(vec![roster("web", web())], Vec::new(), vec![made]));
    bench.reset(&web(), present(&["a", "b"]));
    bench.pass(seconds(3));
    bench.publish(Outcome::Replaced);
    bench.reload(Ran::Done);
    bench.pass(seconds(10));
    assert!(bench.is_idle());
    bench
}

fn drifted(bench: &mut Bench, what: &str) {
    bench.input(Input::Drifted(Arc::from("t"), what.to_owned()));
}

fn said(bench: &Bench) -> usize {
    bench.notices.iter().filter(|notice| matches!(notice, Notice::Drifted { .. })).count()
}

fn since(bench: &Bench) -> bool {
    bench.engine.templates()["t"].drift().is_some()
}

#[test]
fn it_is_published_again_and_reloaded() {
    let mut bench = bench(OnDrift::Correct);
    drifted(&mut bench, "gone");
    assert!(since(&bench));
    bench.publish(Outcome::Replaced);
    bench.reload(Ran::Done);
    assert_eq!((said(&bench), since(&bench)), (1, false));
    // The next time it is said again; a mere touch owes nothing.
    bench.pass(seconds(10));
    drifted(&mut bench, "gone");
    bench.publish(Outcome::Unchanged);
    assert!(bench.is_idle());
    assert_eq!((said(&bench), since(&bench)), (2, false));
}

#[test]
fn what_cannot_be_put_right_is_said_once_and_keeps_its_pauses() {
    let mut bench = bench(OnDrift::Correct);
    let refused = || Outcome::Failed(Failure { stage: Stage::Write, message: "a link".into() });
    drifted(&mut bench, "a link");
    bench.publish(refused());
    for _ in 0..5 {
        drifted(&mut bench, "a link");
    }
    assert!(bench.is_idle(), "it is tried again in its time");
    assert_eq!(said(&bench), 1);
    bench.pass(seconds(1));
    bench.publish(refused());
    drifted(&mut bench, "gone");
    bench.publish(Outcome::Replaced);
    assert_eq!((said(&bench), since(&bench)), (2, false));
}

#[test]
fn one_that_comes_during_a_publication_is_looked_into_after_it() {
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
fn nothing_is_put_right_while_paused() {
    let mut bench = bench(OnDrift::Correct);
    bench.input(Input::Paused(bench.now + seconds(100)));
    drifted(&mut bench, "gone");
    assert!(bench.is_idle() && since(&bench));
    bench.input(Input::Resumed);
    bench.publish(Outcome::Replaced);
    assert!(!since(&bench));
}
