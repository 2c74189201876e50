//! Rollback: files are restored once, pending reloads run, and nothing is repeated endlessly.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::OnReloadFailure;
use crate::decide::{Failure, Input, Outcome, ReloadOutcome, RunMode, SavedState, Stage, TemplatePlan};

use super::harness::{Bench, plan, present, put, roster, seconds, template, web};

fn back(name: &str, unit: Option<&str>, reload: &str) -> TemplatePlan {
    let mut planned = template(name, &["web"], reload);
    let config = Arc::make_mut(&mut planned.config);
    config.on_reload_failure = OnReloadFailure::Rollback;
    config.unit = unit.map(Into::into);
    planned
}

/// An engine whose templates were all replaced and whose reloads are running.
fn replaced(templates: Vec<TemplatePlan>) -> Bench {
    let mut bench = Bench::new(plan(vec![roster("web", web())], vec![], templates));
    bench.reset(&web(), present(&["a:1"]));
    while !bench.publications.is_empty() {
        bench.publish(Outcome::Replaced);
    }
    bench
}

fn no() -> ReloadOutcome {
    ReloadOutcome::Failed("line 7 is wrong".into())
}

/// Answers the oldest open restoration: the files of these templates were restored.
fn restore(bench: &mut Bench, names: &[&str]) {
    let job = bench.restorations.remove(0);
    let names: BTreeSet<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
    bench.input(Input::Restored(job.id, Ok(names)));
}

#[test]
fn a_failed_reload_rolls_its_unit_back_and_runs_again() {
    let mut bench = replaced(vec![
        back("a", Some("edge"), "ra"),
        back("b", Some("edge"), "rb"),
        back("c", None, "ra"),
        template("d", &["web"], "ra"),
    ]);
    assert_eq!(bench.reloads.len(), 2);
    bench.reload(no());
    let names: Vec<_> = bench.restorations[0].templates.iter().map(|it| it.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "c"], "the whole unit, and no template that only retries");
    bench.reload(ReloadOutcome::Succeeded);
    bench.pass(seconds(100));
    assert!(bench.reloads.is_empty(), "not before the files are back");
    restore(&mut bench, &["a", "b", "c"]);
    bench.pass(seconds(10));
    let reloads: Vec<_> = bench.reloads.iter().map(|job| (job.reload.to_string(), job.templates.len())).collect();
    assert_eq!(reloads, [("ra".to_owned(), 3), ("rb".to_owned(), 1)]);
    let failure = bench.engine.templates()["b"].failure().unwrap();
    assert!(failure.message.contains("line 7"), "status has the command's output");
    // The reload fails again: there is no older version.
    for _ in 0..5 {
        for _ in 0..bench.reloads.len() {
            bench.reload(no());
        }
        bench.pass(seconds(61));
        assert!(bench.restorations.is_empty() && bench.publications.is_empty());
    }
    assert_eq!(bench.reloads.len(), 2, "and is retried endlessly");
    bench.reload(ReloadOutcome::Succeeded);
    bench.reload(ReloadOutcome::Succeeded);
    assert!(bench.engine.pending_reloads().values().all(|pending| !pending.is_pending()));
}

#[test]
fn a_change_after_a_rollback_is_tried_and_rolled_back() {
    let mut bench = replaced(vec![back("a", None, "ra")]);
    bench.reload(no());
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(5));
    assert!(bench.publications.is_empty(), "its destination is being restored");
    restore(&mut bench, &["a"]);
    assert_eq!(bench.publications.len(), 1, "the change made meanwhile is not lost");
    bench.publish(Outcome::Replaced);
    bench.pass(seconds(5));
    bench.reload(no());
    assert_eq!(bench.restorations.len(), 1, "new content allows another rollback");
    restore(&mut bench, &[]);
    bench.pass(seconds(61));
    bench.reload(no());
    assert!(bench.restorations.is_empty(), "there was nothing to restore");
}

#[test]
fn a_publication_in_flight_takes_precedence_over_a_rollback() {
    let mut bench = replaced(vec![back("a", None, "ra")]);
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(5));
    bench.reload(no());
    assert!(bench.restorations.is_empty());
    bench.publish(Outcome::Replaced);
    bench.pass(seconds(5));
    bench.reload(ReloadOutcome::Succeeded);
    assert!(
        bench.restorations.is_empty()
            && !bench.engine.pending_reloads().values().any(crate::decide::pending_reload::PendingReload::is_pending)
    );
}

#[test]
fn a_failed_rollback_keeps_the_files_and_retries_the_reload() {
    let mut bench = replaced(vec![back("a", None, "ra")]);
    bench.reload(no());
    let id = bench.restorations.remove(0).id;
    bench.input(Input::Restored(id, Err("no space".into())));
    bench.pass(seconds(61));
    bench.reload(no());
    assert_eq!(bench.restorations.len(), 1, "the restoration is retried as well");
    bench.input(Input::Stopping);
    assert!(bench.engine.is_reloading());
    restore(&mut bench, &["a"]);
    assert_eq!(bench.reloads.len(), 1, "a stopping agent does not defer it");
}

#[test]
fn a_rollback_while_stopping_is_reloaded_at_once() {
    for mode in [RunMode::Once { max_stale: None }, RunMode::Continuous] {
        let mut templates = vec![back("a", Some("edge"), "ra"), back("b", Some("edge"), "rb")];
        for planned in &mut templates {
            Arc::make_mut(&mut planned.config).splay = seconds(600);
        }
        let plan = plan(vec![roster("web", web())], vec![], templates);
        let mut bench = Bench::in_mode(mode, plan, SavedState::new());
        bench.reset(&web(), present(&["a:1"]));
        bench.publish(Outcome::Replaced);
        bench.publish(Outcome::Replaced);
        bench.input(Input::Stopping);
        assert_eq!(bench.reload(no()).reload.to_string(), "ra");
        bench.reload(ReloadOutcome::Succeeded);
        restore(&mut bench, &["a", "b"]);
        assert_eq!(bench.reloads.len(), 2, "{mode:?}: the splay of rb does not delay it");
    }
}

#[test]
fn nothing_is_rolled_back_during_a_pause() {
    let mut bench = replaced(vec![back("a", None, "ra")]);
    bench.input(Input::Paused(bench.now + seconds(3600)));
    bench.reload(no());
    assert!(bench.restorations.is_empty());
    bench.input(Input::Resumed);
    bench.pass(seconds(61));
    bench.reload(no());
    assert_eq!(bench.restorations.len(), 1, "it is restored after the pause");
}

#[test]
fn a_rollback_uses_the_current_reload() {
    let mut bench = replaced(vec![back("a", None, "old")]);
    bench.reload(no());
    // The operator corrects the command while the file is being restored.
    bench.input(Input::Configured(plan(vec![roster("web", web())], vec![], vec![back("a", None, "new")])));
    bench.pass(seconds(100));
    assert!(bench.reloads.is_empty(), "not before the file is restored");
    restore(&mut bench, &["a"]);
    bench.pass(seconds(10));
    let reloads: Vec<_> = bench.reloads.iter().map(|job| job.reload.to_string()).collect();
    assert_eq!(reloads, ["new"]);
}

/// A file that is rolled back and reloaded. Its new content is then refused because its reload failed before.
fn refused() -> Bench {
    let mut bench = replaced(vec![back("a", Some("edge"), "ra"), back("b", Some("edge"), "")]);
    bench.reload(no());
    restore(&mut bench, &["a", "b"]);
    bench.pass(seconds(5));
    bench.reload(ReloadOutcome::Succeeded);
    bench.input(Input::Drifted("b".into(), Some("it was edited".into())));
    refuse(&mut bench);
    bench
}

fn refuse(bench: &mut Bench) {
    for (stage, message) in [(Stage::Unit, "kept back"), (Stage::Rollback, "line 7 is wrong")] {
        assert!(bench.restorations.is_empty(), "not before the last of the unit has ended");
        bench.publish(Outcome::Failed(Failure::new(stage, message)));
    }
}

#[test]
fn drift_of_a_rolled_back_file_is_corrected() {
    let mut bench = refused();
    let names: Vec<_> = bench.restorations[0].templates.iter().map(|it| it.name.to_string()).collect();
    assert_eq!((names, &bench.restorations[0].reload), (vec!["a".to_owned(), "b".to_owned()], &None));
    assert!(bench.engine.templates()["b"].drift().is_some());
    restore(&mut bench, &["b"]);
    assert!(bench.engine.templates()["b"].drift().is_none());
    let failure = bench.engine.templates()["b"].failure().unwrap();
    assert!(failure.message.contains("line 7"), "status keeps reporting why the file differs from the members");
    bench.pass(seconds(100));
    assert!(bench.is_idle() && bench.restorations.is_empty());
    // A failed restoration is retried.
    let mut bench = refused();
    let id = bench.restorations.remove(0).id;
    bench.input(Input::Restored(id, Err("no space".into())));
    bench.pass(seconds(61));
    refuse(&mut bench);
    assert_eq!(bench.restorations.len(), 1);
}

#[test]
fn corrections_of_a_disputed_rolled_back_file_back_off() {
    let mut bench = refused();
    let mut times = 0;
    for number in 0..600 {
        while !bench.restorations.is_empty() {
            restore(&mut bench, &["b"]);
            times += 1;
        }
        while !bench.reloads.is_empty() {
            bench.reload(ReloadOutcome::Succeeded);
        }
        bench.pass(seconds(1));
        if bench.engine.templates()["b"].drift().is_none() {
            bench.input(Input::Drifted("b".into(), Some(format!("edited {number}"))));
        }
        if !bench.publications.is_empty() {
            refuse(&mut bench);
        }
    }
    assert!((4..12).contains(&times), "{times} times in ten minutes");
    assert!(bench.engine.templates()["b"].drift().unwrap().deferred.is_some() && bench.engine.next_wake().is_some());
}
