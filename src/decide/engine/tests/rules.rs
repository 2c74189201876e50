//! One rule of the contract in each test.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{AboveMax, Bounds, KeyConfig, KeyFormat, Wait};
use crate::decide::{Event, Failure, Input, Outcome, ReloadOutcome, SavedState, Stage};
use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, Seen, Update, View};
use crate::model::version::Versions;

use super::harness::{
    Bench, left, members, names, names_by_key, path, plan, present, put, roster, seconds, slots, template, web,
};

fn one_template() -> Bench {
    Bench::new(plan(vec![roster("web", web())], vec![], vec![template("a", &["web"], "reload a")]))
}

fn failed(stage: Stage) -> Outcome {
    Outcome::Failed(Failure::new(stage, "no"))
}

#[test]
fn the_first_view_is_published_at_once_and_later_ones_settle() {
    let mut bench = one_template();
    assert!(bench.is_idle(), "no view has been received");
    bench.reset(&web(), present(&["b:1", "a:1"]));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1", "b:1"]);
    bench.reload(ReloadOutcome::Succeeded);
    bench.change(vec![put("c:1")]);
    bench.pass(Duration::from_millis(199));
    assert!(bench.is_idle());
    bench.change(vec![left("a:1")]);
    bench.pass(Duration::from_millis(199));
    assert!(bench.is_idle(), "each change restarts the quiet time");
    bench.pass(Duration::from_millis(1));
    assert_eq!(
        names(&bench.publish(Outcome::Unchanged), "web"),
        ["b:1", "c:1"],
        "and both changes are one publication"
    );
    bench.pass(seconds(60));
    assert!(bench.is_idle(), "an unchanged file needs no reload");
}

#[test]
fn flapping_members_are_evaluated_within_the_maximum_wait() {
    let mut bench = one_template();
    bench.reset(&web(), present(&["a:1"]));
    bench.publish(Outcome::Unchanged);
    for _ in 0..30 {
        bench.change(vec![put("b:1")]);
        bench.pass(Duration::from_millis(50));
        bench.change(vec![left("b:1")]);
        bench.change(vec![put("c:1")]);
        bench.pass(Duration::from_millis(50));
        if !bench.is_idle() {
            return;
        }
    }
    panic!("3 s of changes, and none was published within 2 s");
}

#[test]
fn below_min_the_last_known_good_members_are_kept() {
    let mut bench = one_template();
    bench.reset(&web(), present(&["a:1", "b:1"]));
    bench.publish(Outcome::Unchanged);
    bench.change(vec![left("a:1"), left("b:1")]);
    bench.pass(seconds(3600));
    assert!(bench.is_idle(), "below min never ends by time");
    assert_eq!(bench.holds(), ["/services/web has 0 members but needs at least 1"]);
    bench.reset(&web(), View::Members(Seen::Absent));
    bench.pass(seconds(3600));
    assert_eq!(bench.holds()[1], "/services/web has 0 members but needs at least 1: the path does not exist");
    bench.reset(&web(), View::Members(Seen::Unreadable("not authorized".into())));
    bench.pass(seconds(3600));
    assert_eq!(bench.holds()[2], "/services/web cannot be read: not authorized");
    assert!(bench.is_idle());
    bench.reset(&web(), present(&["c:1"]));
    bench.pass(seconds(1));
    assert_eq!(names(&bench.publish(Outcome::Unchanged), "web"), ["c:1"]);
    assert!(bench.events.iter().any(|event| matches!(event, Event::HoldReleased { .. })));
}

#[test]
fn a_held_roster_does_not_block_others_of_its_template() {
    let other = Subject::Members(path("/services/db"));
    let rosters = vec![roster("web", web()), roster("db", other.clone())];
    let mut bench = Bench::new(plan(rosters, vec![], vec![template("a", &["web", "db"], "")]));
    bench.reset(&web(), present(&["a:1"]));
    assert!(bench.is_idle(), "db never had a good view");
    bench.reset(&other, present(&["x:1"]));
    bench.publish(Outcome::Unchanged);
    bench.change(vec![left("a:1")]);
    bench.pass(seconds(10));
    assert!(bench.is_idle());
    bench.reset(&other, present(&["y:1"]));
    bench.pass(seconds(10));
    let publication = bench.publish(Outcome::Unchanged);
    assert_eq!((names(&publication, "web"), names(&publication, "db")), (vec!["a:1".into()], vec!["y:1".into()]));
}

#[test]
fn an_empty_list_needs_min_0() {
    let mut config = roster("web", web());
    config.bounds = Bounds::new(0, None, AboveMax::Cut).unwrap();
    let mut bench = Bench::new(plan(vec![config], vec![], vec![template("a", &["web"], "")]));
    bench.reset(&web(), View::Members(Seen::Absent));
    assert!(names(&bench.publish(Outcome::Replaced), "web").is_empty());
}

#[test]
fn saved_slots_are_kept_for_late_members() {
    let mut bench = one_template();
    bench.reset(&web(), present(&["a:1", "b:1", "c:1"]));
    bench.publish(Outcome::Unchanged);
    bench.change(vec![left("a:1")]);
    bench.pass(seconds(1));
    bench.publish(Outcome::Unchanged);
    let saved = bench.saved.clone();
    let plan = plan(vec![roster("web", web())], vec![], vec![template("a", &["web"], "")]);
    let mut next = Bench::with_saved(plan, saved.clone());
    next.reset(&web(), View::Members(Seen::Absent));
    next.pass(seconds(60));
    let members = |all: &SavedState| all["web"].paths[""].members.clone();
    assert_eq!(members(&next.saved), members(&saved), "there are no good members to save");
    assert_eq!(
        slots(&next.publish(Outcome::Unchanged), "web"),
        [("b:1", 1), ("c:1", 2)],
        "the last known-good members are used"
    );
    next.reset(&web(), present(&["b:1", "c:1", "d:1"]));
    next.pass(seconds(60));
    assert_eq!(slots(&next.publish(Outcome::Unchanged), "web"), [("b:1", 1), ("c:1", 2), ("d:1", 0)]);
}

#[test]
fn above_max_cuts_or_holds() {
    for (above_max, expected) in [(AboveMax::Cut, Some(vec!["a:1", "b:1"])), (AboveMax::Hold, None)] {
        let mut config = roster("web", web());
        config.bounds = Bounds::new(1, Some(2), above_max).unwrap();
        let mut bench = Bench::new(plan(vec![config], vec![], vec![template("a", &["web"], "")]));
        bench.reset(&web(), present(&["c:1", "a:1", "b:1"]));
        match expected {
            Some(expected) => assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), expected),
            None => assert_eq!(bench.holds(), ["/services/web has 3 members, but at most 2 are allowed (max)"]),
        }
        assert!(bench.is_idle());
    }
}

#[test]
fn a_mass_loss_is_admitted_after_hold_max_but_never_below_min() {
    let mut config = roster("web", web());
    config.bounds = Bounds::new(2, None, AboveMax::Cut).unwrap();
    let mut bench = Bench::new(plan(vec![config], vec![], vec![template("a", &["web"], "")]));
    let all = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1"];
    bench.reset(&web(), present(&all));
    bench.publish(Outcome::Unchanged);
    for gone in &all[..5] {
        bench.change(vec![left(gone)]);
        bench.pass(seconds(1));
    }
    assert_eq!(bench.publications.len(), 1, "in steps, down to half");
    assert_eq!(names(&bench.publish(Outcome::Unchanged), "web").len(), 7);
    assert_eq!(names(&bench.publish(Outcome::Unchanged), "web").len(), 4, "the steps between were superseded");
    bench.pass(seconds(14 * 60));
    assert!(bench.is_idle(), "the fifth is held");
    assert!(bench.holds()[0].starts_with("3 of 8 members of /services/web remain"), "{:?}", bench.holds());
    bench.pass(seconds(2 * 60));
    assert_eq!(names(&bench.publish(Outcome::Unchanged), "web").len(), 3, "hold_max is over");
    bench.change(vec![left("f:1"), left("g:1")]);
    bench.pass(seconds(24 * 3600));
    assert!(bench.is_idle(), "1 of 2 is below min");
}

#[test]
fn nothing_is_evaluated_while_the_registry_is_unreachable() {
    let mut bench = one_template();
    bench.reset(&web(), present(&["a:1", "b:1"]));
    bench.publish(Outcome::Unchanged);
    bench.change(vec![left("b:1")]);
    bench.away();
    bench.pass(seconds(3600));
    assert!(bench.is_idle(), "a view from before the connection was lost is not a reason to shrink");
    bench.reset(&web(), present(&["a:1"]));
    bench.pass(seconds(1));
    assert_eq!(names(&bench.publish(Outcome::Unchanged), "web"), ["a:1"], "the same view is used once it is confirmed");
    let said = |wanted: fn(&Event) -> bool| bench.events.iter().filter(|event| wanted(event)).count();
    assert_eq!(said(|event| matches!(event, Event::RegistryUnreachable { .. })), 1);
    assert_eq!(said(|event| matches!(event, Event::RegistryConnected { .. })), 1);
}

#[test]
fn nothing_is_evaluated_or_reported_while_the_connection_is_suspended() {
    let mut bench = one_template();
    bench.reset(&web(), present(&["a:1", "b:1"]));
    bench.publish(Outcome::Unchanged);
    bench.events.clear();
    bench.change(vec![left("b:1")]);
    bench.registry_update(Update::Suspended);
    bench.pass(seconds(3600));
    assert!(bench.is_idle() && bench.events.is_empty(), "{:?}", bench.events);
    bench.reset(&web(), present(&["a:1", "b:1"]));
    bench.pass(seconds(1));
    assert!(bench.is_idle(), "nothing was lost");
    bench.registry_update(Update::Suspended);
    bench.reset(&web(), present(&["a:1"]));
    bench.pass(seconds(1));
    assert_eq!(names(&bench.publish(Outcome::Unchanged), "web"), ["a:1"]);
    assert!(
        bench
            .events
            .iter()
            .all(|event| !matches!(event, Event::RegistryUnreachable { .. } | Event::RegistryConnected { .. }))
    );
}

#[test]
fn a_change_renders_only_what_depends_on_it() {
    let other = Subject::Members(path("/services/db"));
    let rosters = vec![roster("web", web()), roster("db", other.clone())];
    let templates = vec![template("a", &["web"], ""), template("b", &["db"], ""), template("c", &[], "")];
    let mut bench = Bench::new(plan(rosters, vec![], templates));
    assert_eq!(&*bench.publish(Outcome::Unchanged).template.name, "c", "a template without rosters waits for nothing");
    bench.reset(&web(), present(&["a:1"]));
    assert_eq!(&*bench.publish(Outcome::Unchanged).template.name, "a");
    bench.reset(&other, present(&["a:1"]));
    assert_eq!(&*bench.publish(Outcome::Unchanged).template.name, "b");
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(1));
    assert_eq!(&*bench.publish(Outcome::Unchanged).template.name, "a");
    assert!(bench.is_idle());
}

#[test]
fn a_change_during_a_publication_is_not_lost_and_the_latest_wins() {
    let mut bench = one_template();
    bench.reset(&web(), present(&["a:1"]));
    for name in ["b:1", "c:1", "d:1"] {
        bench.change(vec![put(name)]);
        bench.pass(seconds(1));
    }
    assert_eq!(bench.publications.len(), 1, "one in flight");
    bench.publish(Outcome::Unchanged);
    assert_eq!(names(&bench.publish(Outcome::Unchanged), "web"), ["a:1", "b:1", "c:1", "d:1"]);
    assert!(bench.is_idle());
}

#[test]
fn templates_that_change_together_are_all_in_place_before_their_reload() {
    let templates = vec![template("a", &["web"], "reload"), template("b", &["web"], "reload")];
    let mut bench = Bench::new(plan(vec![roster("web", web())], vec![], templates));
    bench.reset(&web(), present(&["a:1"]));
    assert_eq!(bench.publications.len(), 2);
    bench.publish(Outcome::Replaced);
    assert!(bench.reloads.is_empty(), "b is still being written");
    bench.publish(failed(Stage::Check));
    assert_eq!(
        bench.reload(ReloadOutcome::Succeeded).templates.len(),
        1,
        "b failed its check, and a does not wait for it"
    );
    bench.pass(seconds(1));
    bench.publish(Outcome::Replaced);
    bench.pass(seconds(5));
    assert_eq!(&*bench.reload(ReloadOutcome::Succeeded).templates[0].name, "b");
}

#[test]
fn a_failed_check_or_write_is_retried_and_a_failed_render_waits_for_a_change() {
    for (stage, again) in [(Stage::Check, true), (Stage::Write, true), (Stage::Render, false)] {
        let mut bench = one_template();
        bench.reset(&web(), present(&["a:1"]));
        bench.publish(failed(stage));
        bench.fail_probes();
        bench.pass(seconds(1));
        assert_eq!(bench.publications.len(), usize::from(again), "{stage:?}");
        if again {
            bench.publish(failed(stage));
            bench.pass(Duration::from_millis(1900));
            assert!(bench.is_idle(), "the backoff doubles");
            bench.pass(Duration::from_millis(100));
            bench.publish(Outcome::Replaced);
            bench.pass(seconds(600));
            assert!(bench.publications.is_empty());
        } else {
            bench.pass(seconds(600));
            assert!(bench.is_idle());
            bench.change(vec![put("b:1")]);
            bench.pass(seconds(1));
            assert_eq!(bench.publications.len(), 1);
        }
    }
}

#[test]
fn a_failed_reload_stays_pending_and_a_change_during_a_reload_needs_another() {
    let mut bench = one_template();
    bench.reset(&web(), present(&["a:1"]));
    bench.publish(Outcome::Replaced);
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(1));
    bench.publish(Outcome::Replaced);
    assert_eq!(bench.reloads.len(), 1, "one at a time");
    bench.reload(ReloadOutcome::Succeeded);
    bench.pass(seconds(3));
    assert!(bench.reloads.is_empty(), "deferred by reload_interval");
    bench.pass(seconds(1));
    bench.reload(ReloadOutcome::Failed("exit 1".into()));
    bench.pass(seconds(5));
    bench.reload(ReloadOutcome::Failed("exit 1".into()));
    bench.pass(seconds(5));
    bench.reload(ReloadOutcome::Succeeded);
    bench.pass(seconds(3600));
    assert!(bench.is_idle());
}

#[test]
fn a_stopping_agent_runs_deferred_reloads_and_begins_nothing_new() {
    let mut bench = one_template();
    bench.reset(&web(), present(&["a:1"]));
    bench.publish(Outcome::Replaced);
    bench.reload(ReloadOutcome::Succeeded);
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(1));
    bench.publish(Outcome::Replaced);
    assert!(bench.reloads.is_empty(), "deferred by reload_interval");
    bench.change(vec![put("c:1")]);
    bench.input(Input::Stopping);
    bench.reload(ReloadOutcome::Succeeded);
    bench.pass(seconds(60));
    assert!(bench.is_idle() && !bench.engine.is_publishing() && !bench.engine.is_reloading());
}

#[test]
fn a_stopping_agent_defers_no_new_reload() {
    let mut deferred = template("a", &["web"], "reload a");
    let mut config = (*deferred.config).clone();
    config.splay = Duration::from_hours(1);
    deferred.config = Arc::new(config);
    let mut bench = Bench::new(plan(vec![roster("web", web())], vec![], vec![deferred]));
    bench.reset(&web(), present(&["a:1"]));
    bench.publish(Outcome::Replaced);
    bench.pass(Duration::from_hours(1));
    bench.reload(ReloadOutcome::Failed("no".into()));
    bench.pass(seconds(1));
    // The reload is retried, another one becomes pending meanwhile, and one more file is being written.
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(1));
    bench.publish(Outcome::Replaced);
    bench.change(vec![put("c:1")]);
    bench.pass(seconds(1));
    assert_eq!((bench.reloads.len(), bench.publications.len()), (1, 1));
    bench.input(Input::Stopping);
    bench.reload(ReloadOutcome::Succeeded);
    bench.reload(ReloadOutcome::Succeeded);
    bench.publish(Outcome::Replaced);
    bench.reload(ReloadOutcome::Succeeded);
    assert!(bench.is_idle() && !bench.engine.is_reloading());
}

#[test]
fn a_template_removed_in_flight_is_still_reloaded() {
    let mut bench = one_template();
    bench.reset(&web(), present(&["a:1"]));
    let renamed = template("z", &["web"], "reload z");
    let mut config = (*renamed.config).clone();
    config.dest = "/etc/a".into();
    let renamed = crate::decide::TemplatePlan { config: Arc::new(config), ..renamed };
    bench.input(Input::Configured(plan(vec![roster("web", web())], vec![], vec![renamed])));
    assert_eq!(bench.publications.len(), 1, "two names for one file are written one after the other");
    bench.publish(Outcome::Replaced);
    assert_eq!(bench.reload(ReloadOutcome::Succeeded).reload.to_string(), "reload a");
    assert_eq!(&*bench.publish(Outcome::Unchanged).template.name, "z");
    assert!(bench.is_idle());
}

#[test]
fn a_new_configuration_keeps_known_members() {
    let mut bench = one_template();
    bench.reset(&web(), present(&["a:1", "b:1"]));
    bench.publish(Outcome::Unchanged);
    let mut config = roster("web", web());
    config.bounds = Bounds::new(1, Some(1), AboveMax::Cut).unwrap();
    config.wait = Wait::NONE;
    let second = roster("again", web());
    let templates = vec![template("a", &["web"], ""), template("b", &["again"], "")];
    bench.input(Input::Configured(plan(vec![config, second], vec![], templates)));
    let (a, b) = (bench.publish(Outcome::Unchanged), bench.publish(Outcome::Unchanged));
    assert_eq!(names(&a, "web"), ["a:1"], "the new bounds apply at once");
    assert_eq!(names(&b, "again"), ["a:1", "b:1"], "no second read is needed");
}

#[test]
fn each_key_is_held_by_itself() {
    let subject = Subject::parse("/services/*").unwrap();
    let mut bench = Bench::new(plan(vec![roster("all", subject.clone())], vec![], vec![template("a", &["all"], "")]));
    let keyed = |keys: &[(&str, &[&str])]| {
        let keys = keys.iter().map(|(key, names)| (Arc::from(*key), Seen::Present(members(names))));
        View::Keyed(Seen::Present(keys.collect()))
    };
    bench.reset(&subject, keyed(&[]));
    assert!(bench.is_idle(), "no key has ever had enough members");
    bench.reset(&subject, keyed(&[("db", &["d:1"]), ("web", &["w:1", "w:2"]), ("void", &[])]));
    bench.pass(seconds(1));
    let seen = names_by_key(&bench.publish(Outcome::Unchanged), "all");
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["db", "web"], "a key never seen with min members is left out");
    bench.registry_update(Update::Changed {
        subject: subject.clone(),
        changes: vec![
            Change::KeyRemoved { key: "db".into() },
            Change::Removed { key: Some("web".into()), name: "w:1".into() },
        ],
        versions: Versions::new(),
    });
    bench.pass(seconds(1));
    let seen = names_by_key(&bench.publish(Outcome::Unchanged), "all");
    assert_eq!((&seen["db"], &seen["web"]), (&vec!["d:1".to_owned()], &vec!["w:2".to_owned()]));
    assert_eq!(
        bench.holds().last().unwrap(),
        "/services/db has 0 members but needs at least 1: the path does not exist"
    );
    bench.reset(&subject, View::Keyed(Seen::Absent));
    bench.pass(seconds(60));
    assert!(bench.is_idle());
}

#[test]
fn a_key_keeps_its_last_known_good_data() {
    let node = Subject::Node(path("/app"));
    let config =
        KeyConfig { name: "app".into(), registry: "default".into(), subject: node.clone(), format: KeyFormat::Json };
    let mut bench = Bench::new(plan(vec![], vec![config], vec![template("a", &["app"], "")]));
    let data = |text: &str| View::Node(Seen::Present(Arc::from(text.as_bytes())));
    bench.reset(&node, View::Node(Seen::Absent));
    assert!(bench.is_idle());
    bench.reset(&node, data(r#"{"n": 1}"#));
    assert_eq!(bench.publish(Outcome::Unchanged).snapshot.keys["app"]["n"], 1);
    bench.reset(&node, data("{"));
    bench.reset(&node, View::Node(Seen::Absent));
    bench.pass(seconds(60));
    assert!(bench.is_idle());
    assert_eq!(bench.holds().len(), 3);
    bench.reset(&node, data(r#"{"n": 1}"#));
    assert!(bench.is_idle(), "the same data again changes nothing");
    bench.reset(&node, data(r#"{"n": 2}"#));
    assert_eq!(bench.publish(Outcome::Unchanged).snapshot.keys["app"]["n"], 2);
}
