//! Files that a person rolled back stay as they are until the person resumes them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::OnReloadFailure;
use crate::decide::{
    Event, Failure, Input, Outcome, Pin, Pins, Plan, Publication, ReloadOutcome, RunMode, SavedState, Stage,
    TemplatePlan,
};

use super::harness::{Bench, plan, present, put, roster, seconds, template, web};

/// A pin by the user 7.
fn pin(generation: u64) -> Arc<Pin> {
    let content = format!("content of {generation}").into_bytes().into();
    Arc::new(Pin { generation, content, since: crate::decide::Moment::START, uid: 7, reason: Some("bad".into()) })
}

fn pins(all: &[(&str, u64)]) -> Pins {
    all.iter().map(|(name, generation)| (Arc::from(*name), pin(*generation))).collect()
}

fn failed(stage: Stage) -> Outcome {
    Outcome::Failed(Failure::new(stage, "no"))
}

/// Everything is in place and loaded.
fn settled(templates: Vec<TemplatePlan>) -> Bench {
    let mut bench = Bench::new(plan(vec![roster("web", web())], vec![], templates));
    bench.reset(&web(), present(&["a:1"]));
    settle(&mut bench);
    bench
}

/// Answers everything with success.
fn settle(bench: &mut Bench) -> Vec<Publication> {
    let mut all = Vec::new();
    bench.pass(seconds(20));
    while !bench.is_idle() {
        if bench.publications.is_empty() {
            bench.reload(ReloadOutcome::Succeeded);
        } else {
            all.push(bench.publish(Outcome::Replaced));
        }
        bench.pass(seconds(20));
    }
    all
}

fn one() -> Bench {
    settled(vec![template("t", &["web"], "reload")])
}

/// The generation whose content a publication has.
fn generation(publication: &Publication) -> Option<u64> {
    publication.pinned.as_ref().map(|pin| pin.generation)
}

/// The generation that a template is pinned to, and the number of withheld changes.
fn state(bench: &Bench, name: &str) -> (Option<u64>, u32) {
    let pinned = bench.engine.templates()[name].pin().map(|pin| pin.generation);
    let reported = bench.engine.report(bench.now).templates[name].pin.clone();
    assert_eq!(pinned, reported.as_ref().map(|pin| pin.generation));
    (pinned, reported.map_or(0, |pin| pin.withheld))
}

fn said(bench: &Bench, name: &str) -> usize {
    bench.events.iter().filter(|event| event.kind().name == name).count()
}

fn unpin(names: &[&str]) -> Input {
    Input::Unpin { templates: names.iter().map(|name| Arc::from(*name)).collect(), uid: 7 }
}

#[test]
fn a_rollback_is_published_reloaded_saved_and_kept() {
    let mut bench = one();
    bench.input(Input::RollBack(pins(&[("t", 3)])));
    assert_eq!(generation(&bench.publications[0]), Some(3));
    assert_eq!(state(&bench, "t"), (None, 0), "it is not pinned before its content is in place");
    bench.publish(Outcome::Replaced);
    assert_eq!(state(&bench, "t"), (Some(3), 0));
    assert_eq!(bench.pins.keys().map(|name| &**name).collect::<Vec<_>>(), ["t"], "saved before the reload ends");
    bench.reload(ReloadOutcome::Succeeded);
    bench.pass(seconds(20));
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(20));
    assert!(bench.is_idle(), "a change is withheld");
    assert_eq!(state(&bench, "t"), (Some(3), 1));
    bench.input(unpin(&["t"]));
    let publication = bench.publish(Outcome::Replaced);
    assert_eq!((generation(&publication), publication.snapshot.rosters.len()), (None, 1), "the newest is rendered");
    assert_eq!((state(&bench, "t"), bench.pins.len()), ((None, 0), 0));
    assert_eq!((said(&bench, "file_pinned"), said(&bench, "file_unpinned")), (1, 1));
}

#[test]
fn a_failed_rollback_changes_nothing() {
    for outcome in [
        failed(Stage::Refused),
        failed(Stage::Write),
        failed(Stage::Check),
        failed(Stage::Rollback),
        Outcome::Abandoned,
    ] {
        let mut bench = one();
        bench.input(Input::RollBack(pins(&[("t", 3)])));
        bench.publish(outcome.clone());
        bench.pass(seconds(600));
        assert!(bench.is_idle(), "{outcome:?}: it is neither retried nor searched for members at fault");
        assert_eq!((state(&bench, "t"), bench.pins.len()), ((None, 0), 0), "{outcome:?}");
        let template = &bench.engine.templates()["t"];
        assert!(template.failure().is_none(), "{outcome:?}: its file is up to date");
        assert!(template.rollback().unwrap().is_err(), "{outcome:?}");
        assert_eq!(said(&bench, "rollback_refused"), 1, "{outcome:?}");
        // Later changes are rendered as always.
        bench.change(vec![put("b:1")]);
        let later = settle(&mut bench);
        assert_eq!(later.iter().map(generation).collect::<Vec<_>>(), [None], "{outcome:?}");
    }
}

#[test]
fn a_change_during_a_rollback_is_not_lost_if_it_fails() {
    for (outcome, published) in [(failed(Stage::Refused), 1), (Outcome::Replaced, 0)] {
        let mut bench = one();
        bench.input(Input::RollBack(pins(&[("t", 3)])));
        bench.change(vec![put("b:1")]);
        bench.pass(seconds(5));
        bench.publish(outcome.clone());
        assert_eq!(settle(&mut bench).len(), published, "{outcome:?}");
    }
}

#[test]
fn a_rollback_waits_for_the_publication_in_flight() {
    let mut bench = one();
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(5));
    bench.input(Input::RollBack(pins(&[("t", 3)])));
    let newest = bench.publish(Outcome::Replaced);
    assert_eq!((generation(&newest), state(&bench, "t")), (None, (None, 0)), "that was not the rollback");
    let rolled_back = bench.publish(Outcome::Replaced);
    assert_eq!((generation(&rolled_back), state(&bench, "t")), (Some(3), (Some(3), 0)));
}

#[test]
fn a_failed_rollback_leaves_an_earlier_pin_in_force() {
    let mut bench = one();
    bench.input(Input::RollBack(pins(&[("t", 3)])));
    settle(&mut bench);
    bench.input(Input::RollBack(pins(&[("t", 2)])));
    bench.publish(failed(Stage::Refused));
    assert_eq!((state(&bench, "t").0, bench.pins["t"].generation), (Some(3), 3));
    bench.input(Input::RollBack(pins(&[("t", 1)])));
    bench.publish(Outcome::Unchanged);
    assert_eq!((state(&bench, "t").0, bench.pins["t"].generation), (Some(1), 1));
}

#[test]
fn drift_is_corrected_to_the_pinned_content() {
    let mut bench = one();
    bench.input(Input::RollBack(pins(&[("t", 3)])));
    settle(&mut bench);
    bench.input(Input::Drifted("t".into(), Some("edited".into())));
    let corrected = bench.publish(Outcome::Replaced);
    assert_eq!((generation(&corrected), state(&bench, "t")), (Some(3), (Some(3), 0)));
    bench.reload(ReloadOutcome::Succeeded);
}

#[test]
fn a_failing_correction_of_a_pinned_file_is_retried_with_the_pinned_content() {
    let mut bench = one();
    bench.input(Input::RollBack(pins(&[("t", 3)])));
    settle(&mut bench);
    bench.input(Input::Drifted("t".into(), Some("edited".into())));
    bench.publish(failed(Stage::Write));
    bench.pass(seconds(2));
    assert_eq!(generation(&bench.publish(Outcome::Replaced)), Some(3));
    assert_eq!(state(&bench, "t").0, Some(3));
}

#[test]
fn pins_survive_a_new_configuration_and_a_missing_template() {
    let both = || vec![template("t", &["web"], ""), template("u", &["web"], "")];
    let mut bench = settled(both());
    bench.input(Input::RollBack(pins(&[("t", 3)])));
    settle(&mut bench);
    for templates in [both(), vec![template("u", &["web"], "")], both()] {
        bench.input(Input::Configured(plan(vec![roster("web", web())], vec![], templates)));
        for publication in settle(&mut bench) {
            let wanted = (*publication.template.name == *"t").then_some(3);
            assert_eq!(generation(&publication), wanted, "{}", publication.template.name);
        }
        assert_eq!(bench.engine.pins().len(), 1);
    }
    bench.input(unpin(&["t"]));
    assert_eq!(generation(&bench.publish(Outcome::Replaced)), None);
}

#[test]
fn pins_of_the_previous_run_apply_before_anything_is_rendered() {
    let plan = || plan(vec![roster("web", web())], vec![], vec![template("t", &["web"], "")]);
    for (mode, wanted) in [(RunMode::Continuous, vec![Some(3)]), (RunMode::Once { max_stale: None }, vec![])] {
        let mut bench = Bench::in_mode(mode, Plan::default(), SavedState::new());
        bench.input(Input::Pins(pins(&[("t", 3)])));
        bench.input(Input::Configured(plan()));
        // Without any view: what a file is pinned to needs no registry.
        let begun: Vec<_> = bench.publications.iter().map(generation).collect();
        assert_eq!(begun, wanted, "{mode:?}");
        bench.reset(&web(), present(&["a:1"]));
        assert!(settle(&mut bench).iter().all(|it| generation(it) == Some(3)), "{mode:?}");
        assert_eq!(state(&bench, "t").0, Some(3), "{mode:?}");
    }
}

#[test]
fn a_pause_cancels_a_rollback_that_has_not_begun() {
    let mut bench = one();
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(5));
    bench.input(Input::RollBack(pins(&[("t", 3)])));
    bench.input(Input::Paused(bench.now + seconds(100)));
    assert!(bench.engine.templates()["t"].rollback().unwrap().is_err());
    bench.publish(Outcome::Replaced);
    bench.input(Input::Resumed);
    assert_eq!(settle(&mut bench).iter().filter_map(generation).count(), 0);
    // One in flight is finished.
    bench.input(Input::RollBack(pins(&[("t", 3)])));
    bench.input(Input::Paused(bench.now + seconds(100)));
    bench.publish(Outcome::Replaced);
    assert_eq!(state(&bench, "t").0, Some(3));
}

/// A template of the unit "edge".
fn of_edge(name: &str) -> TemplatePlan {
    let mut planned = template(name, &["web"], "reload");
    Arc::make_mut(&mut planned.config).unit = Some("edge".into());
    planned
}

#[test]
fn a_unit_is_rolled_back_and_pinned_as_a_whole_or_not_at_all() {
    for (outcomes, wanted) in [
        ([Outcome::Replaced, Outcome::Replaced], Some(3)),
        ([Outcome::Unchanged, Outcome::Replaced], Some(3)),
        ([failed(Stage::Refused), failed(Stage::Unit)], None),
        // The first one already had its content, and the second one could not be put in place.
        ([Outcome::Unchanged, failed(Stage::Write)], None),
    ] {
        let mut bench = settled(vec![of_edge("a"), of_edge("b")]);
        bench.input(Input::RollBack(pins(&[("a", 3), ("b", 3)])));
        for outcome in outcomes.clone() {
            bench.publish(outcome);
        }
        assert_eq!((state(&bench, "a").0, state(&bench, "b").0), (wanted, wanted), "{outcomes:?}");
        let why = bench.engine.templates()["a"].rollback().unwrap().as_ref().err().map(|failure| failure.stage);
        assert!(why != Some(Stage::Unit), "{outcomes:?}: the cause is reported, not its consequence");
        settle(&mut bench);
        bench.change(vec![put("b:1")]);
        assert_eq!(settle(&mut bench).len(), if wanted.is_some() { 0 } else { 2 }, "{outcomes:?}");
    }
}

#[test]
fn a_unit_with_a_pinned_template_is_not_published_in_part() {
    let mut bench = settled(vec![of_edge("a"), template("b", &["web"], "reload")]);
    bench.input(Input::RollBack(pins(&[("a", 3)])));
    settle(&mut bench);
    let both = plan(vec![roster("web", web())], vec![], vec![of_edge("a"), of_edge("b")]);
    bench.input(Input::Configured(both));
    bench.change(vec![put("b:1")]);
    assert!(settle(&mut bench).is_empty());
    bench.input(unpin(&["a"]));
    assert_eq!(settle(&mut bench).len(), 2);
}

#[test]
fn a_pin_ends_if_its_reload_fails_and_the_previous_file_is_restored() {
    let mut planned = template("t", &["web"], "reload");
    Arc::make_mut(&mut planned.config).on_reload_failure = OnReloadFailure::Rollback;
    for (restored, wanted) in [(vec!["t"], None), (vec![], Some(3))] {
        let mut bench = settled(vec![planned.clone()]);
        bench.input(Input::RollBack(pins(&[("t", 3)])));
        bench.publish(Outcome::Replaced);
        bench.reload(ReloadOutcome::Failed("no".into()));
        let id = bench.restorations.remove(0).id;
        let names: BTreeSet<Arc<str>> = restored.iter().map(|name| Arc::from(*name)).collect();
        bench.input(Input::Restored(id, Ok(names)));
        assert_eq!((state(&bench, "t").0, bench.pins.len()), (wanted, wanted.iter().len()), "{restored:?}");
        let is_event = |event: &Event| matches!(event, Event::FileUnpinned { uid: None, .. });
        assert_eq!(bench.events.iter().any(is_event), wanted.is_none());
    }
}

#[test]
fn a_rollback_tells_the_view_of_what_it_replaces_and_none_of_its_own() {
    let mut bench = Bench::new(plan(vec![roster("web", web())], vec![], vec![template("t", &["web"], "")]));
    bench.reset_at(present(&["a:1", "b:1"]), 0x120);
    bench.pass(seconds(5));
    let views = bench.publish(Outcome::Replaced).views;
    let shown: Vec<_> = views.iter().map(|it| (&*it.path, it.zxid.as_deref(), it.members, it.held)).collect();
    assert_eq!(shown, [("/services/web", Some("0x120"), Some(2), false)]);
    bench.input(Input::RollBack(pins(&[("t", 3)])));
    assert!(bench.publish(Outcome::Replaced).views.is_empty());
}

#[test]
fn a_rollback_ends_the_search_for_members_at_fault() {
    for is_searching in [true, false] {
        let mut bench = one();
        bench.change(vec![put("b:1")]);
        bench.pass(seconds(5));
        if is_searching {
            bench.publish(failed(Stage::Refused));
            assert_eq!(bench.probes.len(), 1);
            bench.input(Input::RollBack(pins(&[("t", 3)])));
            bench.fail_probes();
        } else {
            bench.input(Input::RollBack(pins(&[("t", 3)])));
            bench.publish(failed(Stage::Refused));
        }
        assert!(bench.probes.is_empty(), "the newest content waits for the end of the pin");
        let rolled_back = bench.publish(Outcome::Replaced);
        assert_eq!((generation(&rolled_back), state(&bench, "t")), (Some(3), (Some(3), 1)), "{is_searching}");
        assert_eq!(said(&bench, "check_refused"), 1, "{is_searching}");
        bench.input(unpin(&["t"]));
        assert_eq!(generation(&bench.publish(Outcome::Replaced)), None, "{is_searching}");
    }
}

#[test]
fn the_reload_of_a_rollback_does_not_wait_for_the_retry_of_a_failing_one() {
    for outcome in [Outcome::Replaced, Outcome::Unchanged] {
        let mut bench = one();
        bench.change(vec![put("b:1")]);
        bench.pass(seconds(20));
        bench.publish(Outcome::Replaced);
        for _ in 0..5 {
            bench.pass(seconds(600));
            bench.reload(ReloadOutcome::Failed("of the old content".into()));
        }
        bench.input(Input::RollBack(pins(&[("t", 3)])));
        bench.publish(outcome.clone());
        assert!(bench.engine.is_reloading(), "{outcome:?}: its own reload is not a retry");
        bench.pass(bench.engine.pending_reloads().values().next().unwrap().policy().interval);
        bench.reload(ReloadOutcome::Succeeded);
    }
}

/// A template that is rolled back if its reload fails.
fn back(name: &str) -> TemplatePlan {
    let mut planned = template(name, &["web"], "reload");
    Arc::make_mut(&mut planned.config).on_reload_failure = OnReloadFailure::Rollback;
    planned
}

/// The reload fails, and the files of these templates are restored.
fn restore(bench: &mut Bench, names: &[&str]) {
    bench.pass(seconds(20));
    bench.reload(ReloadOutcome::Failed("no".into()));
    let id = bench.restorations.remove(0).id;
    bench.input(Input::Restored(id, Ok(names.iter().map(|name| Arc::from(*name)).collect())));
}

#[test]
fn a_change_since_the_rollback_is_rendered_if_the_pin_ends_with_its_reload() {
    for is_reconfigured in [false, true] {
        let mut bench = settled(vec![back("t")]);
        bench.input(Input::RollBack(pins(&[("t", 3)])));
        bench.publish(Outcome::Replaced);
        if is_reconfigured {
            bench.input(Input::Configured(plan(vec![roster("web", web())], vec![], vec![back("t")])));
            bench.publish(Outcome::Unchanged);
        } else {
            bench.change(vec![put("b:1")]);
        }
        restore(&mut bench, &["t"]);
        assert_eq!(state(&bench, "t"), (None, 0));
        assert_eq!(generation(&bench.publish(Outcome::Replaced)), None, "{is_reconfigured}");
        settle(&mut bench);
    }
}

#[test]
fn a_pin_whose_reload_fails_ends_for_the_pin_before_it() {
    let mut bench = settled(vec![back("t")]);
    bench.input(Input::RollBack(pins(&[("t", 3)])));
    settle(&mut bench);
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(20));
    for generation in [2, 1] {
        bench.input(Input::RollBack(pins(&[("t", generation)])));
        bench.publish(Outcome::Replaced);
    }
    restore(&mut bench, &["t"]);
    assert_eq!((state(&bench, "t"), bench.pins["t"].generation), ((Some(3), 1), 3), "the last one with a reload");
    assert!(settle(&mut bench).is_empty());
    // The pin before one whose reload succeeded is forgotten.
    bench.input(Input::RollBack(pins(&[("t", 2)])));
    settle(&mut bench);
    bench.input(Input::Drifted("t".into(), Some("edited".into())));
    bench.publish(Outcome::Replaced);
    restore(&mut bench, &["t"]);
    assert_eq!((state(&bench, "t").0, bench.pins.len()), (None, 0));
}

#[test]
fn a_pin_that_ends_with_its_reload_ends_no_rollback_in_progress() {
    let mut bench = settled(vec![back("t")]);
    bench.input(Input::RollBack(pins(&[("t", 3)])));
    bench.publish(Outcome::Replaced);
    bench.pass(seconds(20));
    bench.reload(ReloadOutcome::Failed("no".into()));
    // It waits for the restore.
    bench.input(Input::RollBack(pins(&[("t", 2)])));
    let id = bench.restorations.remove(0).id;
    bench.input(Input::Restored(id, Ok(BTreeSet::from(["t".into()]))));
    assert_eq!(generation(&bench.publish(Outcome::Replaced)), Some(2));
    assert_eq!((state(&bench, "t").0, bench.pins["t"].generation), (Some(2), 2));
}

#[test]
fn a_restore_ends_only_pins_of_files_that_it_changed_and_of_their_units() {
    let mut bench = settled(vec![back("t"), back("u")]);
    bench.input(Input::RollBack(pins(&[("t", 3), ("u", 3)])));
    bench.publish(Outcome::Replaced);
    bench.publish(Outcome::Replaced);
    restore(&mut bench, &["u"]);
    assert_eq!((state(&bench, "t").0, state(&bench, "u").0), (Some(3), None));
    let of_unit = |name| {
        let mut planned = of_edge(name);
        Arc::make_mut(&mut planned.config).on_reload_failure = OnReloadFailure::Rollback;
        planned
    };
    let mut bench = settled(vec![of_unit("a"), of_unit("b")]);
    bench.input(Input::RollBack(pins(&[("a", 3), ("b", 3)])));
    bench.publish(Outcome::Replaced);
    bench.publish(Outcome::Unchanged);
    restore(&mut bench, &["a"]);
    assert_eq!((state(&bench, "a").0, state(&bench, "b").0), (None, None));
}

#[test]
fn a_new_template_of_its_unit_cancels_a_rollback_that_has_not_begun() {
    let mut bench = settled(vec![of_edge("a")]);
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(5));
    bench.input(Input::RollBack(pins(&[("a", 3)])));
    bench.input(Input::Configured(plan(vec![roster("web", web())], vec![], vec![of_edge("a"), of_edge("b")])));
    let why = bench.engine.templates()["a"].rollback().unwrap().as_ref().unwrap_err();
    assert!(why.message.contains("unit has changed"), "{why:?}");
    assert_eq!(said(&bench, "rollback_refused"), 1);
    let later: Vec<_> = settle(&mut bench).iter().map(generation).collect();
    assert_eq!(later, [None, None, None], "the one in flight, and then the whole unit");
}

#[test]
fn a_render_without_reload_does_not_skip_the_reload_after_a_pin() {
    let mut bench = one();
    bench.input(Input::RollBack(pins(&[("t", 3)])));
    settle(&mut bench);
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(20));
    bench.input(Input::Render { templates: BTreeSet::from(["t".into()]), reload: false });
    assert_eq!(state(&bench, "t"), (Some(3), 1), "a request is no change");
    bench.input(unpin(&["t"]));
    assert!(!bench.publish(Outcome::Replaced).no_reload);
}
