//! Named cases of former bugs.

use super::harness::*;
use crate::config::{AboveMax, Bounds, RosterConfig};
use crate::decide::{Input, Outcome, ReloadOutcome};
use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, RegistryEvent, Seen, Update, View};
use crate::model::version::Versions;
use std::collections::BTreeMap;
use std::sync::Arc;

fn star() -> Subject {
    Subject::parse("/services/*").unwrap()
}
fn keyed(keys: &[(&str, &[&str])]) -> View {
    View::Keyed(Seen::Present(keys.iter().map(|(k, n)| (Arc::from(*k), Seen::Present(members(n)))).collect()))
}
fn star_bench(min: usize) -> Bench {
    let mut config = roster("all", star());
    config.bounds = Bounds::new(min, None, AboveMax::Cut).unwrap();
    Bench::new(plan(vec![config], vec![], vec![template("a", &["all"], "")]))
}

#[test]
fn an_absent_parent_is_reported_as_a_hold() {
    let mut bench = star_bench(1);
    bench.reset(&star(), View::Keyed(Seen::Absent));
    bench.pass(seconds(10));
    assert_eq!(bench.holds(), ["no key of /services/* has at least 1 member: the path does not exist"]);
    assert!(!bench.engine.rosters()["all"].holds().is_empty(), "render would exit 0");
}
#[test]
fn an_unreadable_parent_is_reported_as_a_hold() {
    let mut bench = star_bench(1);
    bench.reset(&star(), keyed(&[("web", &["a:1"])]));
    bench.publish(Outcome::Unchanged);
    bench.reset(&star(), View::Keyed(Seen::Unreadable("no auth".into())));
    bench.pass(seconds(10));
    assert_eq!(bench.holds(), ["/services/* cannot be read: no auth"]);
}
#[test]
fn min_0_renders_an_empty_map_without_keys() {
    let mut bench = star_bench(0);
    bench.reset(&star(), keyed(&[]));
    bench.pass(seconds(10));
    assert_eq!(bench.publications.len(), 1, "min = 0 is written, the base is there and empty");
}
#[test]
fn a_key_removed_before_an_outage_stays_removed() {
    let mut bench = star_bench(0);
    bench.reset(&star(), keyed(&[("db", &["d:1"]), ("web", &["w:1"])]));
    bench.publish(Outcome::Unchanged);
    bench.registry_update(Update::Changed {
        subject: star(),
        changes: vec![Change::KeyRemoved { key: "db".into() }],
        versions: Versions::new(),
    });
    bench.away();
    bench.pass(seconds(1));
    bench.reset(&star(), keyed(&[("web", &["w:1"])]));
    bench.pass(seconds(60));
    let seen = names_by_key(&bench.publish(Outcome::Unchanged), "all");
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["web"]);
}
fn on(registry: &str) -> RosterConfig {
    RosterConfig::new("web", registry, web())
}
#[test]
fn a_roster_that_moves_between_registries_uses_no_old_view() {
    let other = RosterConfig::new("db", "one", Subject::Members(path("/services/db")));
    let p = |registry: &str| plan(vec![on(registry), other.clone()], vec![], vec![template("a", &["web"], "")]);
    let mut bench = Bench::new(p("one"));
    let see = |bench: &mut Bench, registry: &str, n: &[&str]| {
        bench.input(Input::Registry(RegistryEvent {
            registry: registry.into(),
            update: Update::Reset { subject: web(), view: present(n), versions: Versions::new() },
        }));
    };
    see(&mut bench, "one", &["old:1", "old:2", "old:3", "old:4"]);
    bench.publish(Outcome::Unchanged);
    bench.input(Input::Configured(p("two")));
    see(&mut bench, "two", &["x:1"]);
    bench.publish(Outcome::Unchanged);
    bench.pass(seconds(3600));
    bench.input(Input::Configured(p("one")));
    assert!(
        bench.publications.is_empty(),
        "published an hour-old view of `one`: {:?}",
        names(&bench.publications[0], "web")
    );
}
#[test]
fn late_updates_of_an_unwatched_subject_are_dropped() {
    let with = || plan(vec![roster("web", web())], vec![], vec![template("a", &["web"], "")]);
    let other = || plan(vec![roster("db", Subject::Members(path("/services/db")))], vec![], vec![]);
    let mut bench = Bench::new(with());
    bench.input(Input::Configured(other()));
    bench.reset(&web(), present(&["old:1"])); // was in the queue
    bench.pass(seconds(3600));
    bench.input(Input::Configured(with()));
    assert!(bench.publications.is_empty(), "published an hour-old view");
}
#[test]
fn a_reload_changed_in_flight_does_not_block_a_shared_one() {
    let rosters = || vec![roster("web", web())];
    let mut bench =
        Bench::new(plan(rosters(), vec![], vec![template("a", &["web"], "R"), template("b", &["web"], "R")]));
    bench.reset(&web(), present(&["a:1"]));
    bench.publish(Outcome::Replaced); // a; waits for b
    bench.input(Input::Configured(plan(
        rosters(),
        vec![],
        vec![template("a", &["web"], "R"), template("b", &["web"], "R2")],
    )));
    while !bench.publications.is_empty() {
        bench.publish(Outcome::Unchanged);
    }
    bench.pass(seconds(3600));
    assert_eq!(bench.reloads.len(), 1, "a was replaced and includes R");
}
#[test]
fn templates_that_change_together_wait_for_a_pending_reload() {
    let rosters = || vec![roster("web", web())];
    let mut bench =
        Bench::new(plan(rosters(), vec![], vec![template("a", &["web"], "R"), template("b", &["web"], "R")]));
    bench.reset(&web(), present(&["a:1"]));
    bench.publish(Outcome::Replaced);
    bench.publish(Outcome::Replaced);
    bench.reload(ReloadOutcome::Succeeded);
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(1));
    bench.publish(Outcome::Replaced);
    bench.publish(Outcome::Replaced); // pending, deferred by reload_interval
    bench.change(vec![put("c:1")]);
    bench.pass(seconds(1));
    bench.publish(Outcome::Replaced); // a is in place, b is still being checked
    bench.pass(seconds(10));
    assert!(bench.reloads.is_empty(), "b of the same change is not in place yet");
}
#[test]
fn a_corrected_reload_command_takes_over_the_pending_reload() {
    let rosters = || vec![roster("web", web())];
    let mut bench = Bench::new(plan(rosters(), vec![], vec![template("a", &["web"], "brokn reload")]));
    bench.reset(&web(), present(&["a:1"]));
    bench.publish(Outcome::Replaced);
    bench.reload(ReloadOutcome::Failed("no such program".into()));
    bench.input(Input::Configured(plan(rosters(), vec![], vec![template("a", &["web"], "right reload")])));
    bench.publish(Outcome::Unchanged);
    bench.pass(seconds(1));
    let ran: Vec<String> = bench.reloads.iter().map(|job| job.reload.to_string()).collect();
    assert_eq!(ran, ["right reload"]);
}
#[test]
fn removed_keys_without_members_are_forgotten() {
    let mut bench = star_bench(1);
    bench.reset(&star(), keyed(&[("web", &["w:1"])]));
    bench.publish(Outcome::Unchanged);
    for n in 0..1000 {
        let key: Arc<str> = format!("tmp{n}").into();
        bench.registry_update(Update::Changed {
            subject: star(),
            changes: vec![Change::KeyPut { key: key.clone(), members: Seen::Present(BTreeMap::new()) }],
            versions: Versions::new(),
        });
        bench.registry_update(Update::Changed {
            subject: star(),
            changes: vec![Change::KeyRemoved { key }],
            versions: Versions::new(),
        });
        bench.pass(seconds(1));
    }
    assert!(bench.engine.rosters()["all"].holds().len() < 10, "{}", bench.engine.rosters()["all"].holds().len());
}
#[test]
fn a_further_loss_during_an_outage_is_held_again() {
    let mut bench = Bench::new(plan(vec![roster("web", web())], vec![], vec![template("a", &["web"], "")]));
    bench.reset(&web(), present(&["a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1"]));
    bench.publish(Outcome::Unchanged);
    bench.reset(&web(), present(&["a:1", "b:1", "c:1"]));
    bench.pass(seconds(60));
    assert!(bench.is_idle());
    bench.away();
    bench.pass(seconds(3600));
    bench.reset(&web(), present(&["a:1"]));
    bench.pass(seconds(60));
    assert!(bench.is_idle(), "1 of 8, seen for the first time a minute ago, was let through");
}
#[test]
fn hold_max_is_not_restarted_by_a_dip() {
    let mut bench = Bench::new(plan(vec![roster("web", web())], vec![], vec![template("a", &["web"], "")]));
    bench.reset(&web(), present(&["a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1"]));
    bench.publish(Outcome::Unchanged);
    for _ in 0..20 {
        bench.reset(&web(), present(&["a:1"]));
        bench.pass(seconds(300));
        bench.reset(&web(), View::Members(Seen::Unreadable("no".into())));
        bench.pass(seconds(1));
    }
    bench.reset(&web(), present(&["a:1"]));
    bench.pass(seconds(10));
    assert!(!bench.is_idle(), "100 minutes at 1 of 8, and hold_max of 15 minutes is never over");
}
#[test]
fn the_result_for_an_old_dest_does_not_end_the_new_publication() {
    let rosters = || vec![roster("web", web())];
    let mut bench = Bench::new(plan(rosters(), vec![], vec![template("a", &["web"], "")]));
    bench.reset(&web(), present(&["a:1"]));
    bench.input(Input::Configured(plan(rosters(), vec![], vec![])));
    let mut t = template("a", &["web"], "");
    let mut c = (*t.config).clone();
    c.dest = "/etc/other".into();
    t.config = Arc::new(c);
    bench.input(Input::Configured(plan(rosters(), vec![], vec![t])));
    assert_eq!(bench.publications.len(), 2);
    bench.publish(Outcome::Failed(crate::decide::Failure::new(crate::decide::Stage::Check, "no")));
    bench.pass(seconds(30)); // other is still being checked
}
