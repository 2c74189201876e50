//! Templates with `each`: which files exist, and when they are removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{AboveMax, Bounds, Each, Guard, OnGone, TemplateConfig};
use crate::decide::{
    Acceptance, Event, Failure, Input, Needs, Outcome, Plan, Publication, Stage, TemplatePlan, WrittenKeys,
};
use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, Seen, Update, View};
use crate::model::version::Versions;
use proptest::prelude::*;

use super::harness::{Bench, members, plan, roster, seconds, template, versions};

fn services() -> Subject {
    Subject::parse("/services/*").unwrap()
}

fn each(on_gone: OnGone, more: &[&str]) -> TemplatePlan {
    let each = Some(Each::new("svc", "services", on_gone));
    let config = TemplateConfig { each, ..TemplateConfig::new("svc", "svc.tera", "/etc/x/{{ key }}.cfg") };
    let names = more.iter().map(|name| Arc::from(*name)).collect();
    TemplatePlan { config: Arc::new(config), needs: Needs { names, ..Needs::default() } }
}

fn bench(on_gone: OnGone) -> Bench {
    Bench::new(plan(vec![roster("services", services())], vec![], vec![each(on_gone, &[])]))
}

/// Keys with this many members each.
fn keyed(keys: &[(&str, usize)]) -> View {
    let view = keys.iter().map(|(key, count)| (Arc::from(*key), Seen::Present(numbered(*count))));
    View::Keyed(Seen::Present(view.collect()))
}

fn numbered(count: usize) -> crate::model::registry_event::Members {
    let names: Vec<String> = (0..count).map(|n| format!("m{n}:1")).collect();
    members(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn key(name: &str, count: usize) -> Change {
    Change::KeyPut { key: Arc::from(name), members: Seen::Present(numbered(count)) }
}

fn key_left(name: &str) -> Change {
    Change::KeyRemoved { key: Arc::from(name) }
}

fn update(bench: &mut Bench, changes: Vec<Change>) {
    bench.registry_update(Update::Changed { subject: services(), changes, versions: Versions::new() });
}

/// Answers all open requests, and describes them: `+` a file with its number of members, `-` a removed one.
fn done(bench: &mut Bench) -> Vec<String> {
    bench.pass(seconds(3));
    let mut all = Vec::new();
    while !bench.publications.is_empty() {
        let remove = bench.publications[0].remove;
        let publication = bench.publish(if remove { Outcome::Removed } else { Outcome::Replaced });
        all.push(told(&publication));
    }
    all.sort();
    all
}

fn told(publication: &Publication) -> String {
    let (of, key) = publication.template.file_of().unwrap();
    assert_eq!(publication.template.dest.to_str().unwrap(), format!("/etc/x/{key}.cfg"));
    assert_eq!(*publication.template.name, *format!("{}[{key}]", of.template));
    assert_eq!(publication.remove, publication.snapshot.own.is_none());
    let own = publication.snapshot.own.as_ref().filter(|(own, _)| own == key);
    own.map_or_else(|| format!("-{key}"), |(_, slotted)| format!("+{key} {}", slotted.len()))
}

#[test]
fn each_key_has_a_file_and_only_changes_are_rendered() {
    let mut bench = bench(OnGone::Remove);
    bench.reset(&services(), keyed(&[("a", 1), ("b", 2), ("empty", 0)]));
    assert_eq!(done(&mut bench), ["+a 1", "+b 2"], "a key that never had a member has no file");
    update(&mut bench, vec![key("b", 3), key("c", 1)]);
    assert_eq!(done(&mut bench), ["+b 3", "+c 1"], "a is unchanged");
    update(&mut bench, vec![key("a", 0)]);
    assert_eq!(done(&mut bench), [""; 0], "an emptied key keeps its file");
    update(&mut bench, vec![key_left("c")]);
    assert_eq!(done(&mut bench), ["-c"], "a removed key does not");
    update(&mut bench, vec![key("c", 2)]);
    assert_eq!(done(&mut bench), ["+c 2"]);
    update(&mut bench, vec![key_left("c"), key("c", 2)]);
    assert_eq!(done(&mut bench), [""; 0], "a key that is removed and added again within a moment causes nothing");
}

#[test]
fn a_change_of_another_roster_renders_all_files() {
    let rosters = vec![roster("services", services()), roster("web", crate::decide::engine::tests::harness::web())];
    let mut bench = Bench::new(plan(rosters, vec![], vec![each(OnGone::Remove, &["web"])]));
    bench.reset(&services(), keyed(&[("a", 1), ("b", 1)]));
    assert_eq!(done(&mut bench), [""; 0], "web is not known yet");
    bench
        .reset(&crate::decide::engine::tests::harness::web(), crate::decide::engine::tests::harness::present(&["w:1"]));
    assert_eq!(done(&mut bench), ["+a 1", "+b 1"]);
    bench.change(vec![crate::decide::engine::tests::harness::put("x:1")]);
    assert_eq!(done(&mut bench), ["+a 1", "+b 1"]);
}

#[test]
fn a_key_that_is_no_valid_file_name_has_no_file() {
    let mut bench = bench(OnGone::Remove);
    let odd = ["../x", "..x", ".x", "a b", "ä", "x/y", "$(touch x)"];
    let mut all: Vec<(&str, usize)> = odd.iter().map(|key| (*key, 1)).collect();
    all.push(("a", 1));
    bench.reset(&services(), keyed(&all));
    assert_eq!(done(&mut bench), ["+a 1"]);
    let said = bench.events.iter().filter(|event| matches!(event, Event::KeySkipped { .. })).count();
    assert_eq!(said, odd.len());
    assert_eq!(bench.engine.without_file("svc").count(), odd.len());
    update(&mut bench, odd.iter().map(|odd| key_left(odd)).collect());
    update(&mut bench, vec![key("a", 2)]);
    bench.pass(Duration::from_hours(1));
    assert_eq!(done(&mut bench), ["+a 2"]);
    let again = bench.events.iter().filter(|event| matches!(event, Event::KeySkipped { .. })).count();
    assert_eq!((again, bench.engine.without_file("svc").count()), (odd.len(), 0), "reported once");
}

#[test]
fn a_file_of_another_template_is_left_alone() {
    let mut config = (*template("own", &[], "").config).clone();
    config.dest = "/etc/x/a.cfg".into();
    let own = TemplatePlan { config: Arc::new(config), needs: Needs::default() };
    let mut bench =
        Bench::new(plan(vec![roster("services", services())], vec![], vec![own, each(OnGone::Remove, &[])]));
    assert_eq!(&*bench.publish(Outcome::Replaced).template.name, "own");
    bench.reset(&services(), keyed(&[("a", 1), ("b", 1)]));
    assert_eq!(done(&mut bench), ["+b 1"]);
    update(&mut bench, vec![key_left("a")]);
    assert_eq!(done(&mut bench), [""; 0]);
}

#[test]
fn on_gone_keep_keeps_the_file() {
    let mut bench = bench(OnGone::Keep);
    bench.reset(&services(), keyed(&[("a", 1), ("b", 1)]));
    done(&mut bench);
    update(&mut bench, vec![key_left("a")]);
    bench.pass(Duration::from_hours(1));
    assert_eq!(done(&mut bench), [""; 0]);
    bench.reset(&services(), keyed(&[("b", 1)]));
    assert_eq!(done(&mut bench), [""; 0]);
}

#[test]
fn an_empty_key_has_an_empty_file_where_min_is_0() {
    let mut config = roster("services", services());
    config.bounds = Bounds::new(0, None, AboveMax::Cut).unwrap();
    let mut bench = Bench::new(plan(vec![config], vec![], vec![each(OnGone::Remove, &[])]));
    bench.reset(&services(), keyed(&[("a", 1), ("b", 0)]));
    assert_eq!(done(&mut bench), ["+a 1", "+b 0"]);
    update(&mut bench, vec![Change::KeyPut { key: "a".into(), members: Seen::Absent }, key_left("b")]);
    assert_eq!(done(&mut bench), ["+a 0", "-b"]);
}

#[test]
fn a_mass_loss_of_keys_is_held_until_recovery_accept_or_hold_max() {
    let all: Vec<String> = (0..10).map(|n| format!("k{n}")).collect();
    let some = |from: usize| -> Vec<(&str, usize)> { all[from..].iter().map(|key| (key.as_str(), 1)).collect() };
    let start = || {
        let mut config = roster("services", services());
        // Shorter than the window, so that hold_max ends the hold.
        config.guard.hold_max = seconds(10 * 60);
        let mut bench = Bench::new(plan(vec![config], vec![], vec![each(OnGone::Remove, &[])]));
        bench.reset(&services(), keyed(&some(0)));
        assert_eq!(done(&mut bench).len(), 10);
        // In steps, as sessions expire.
        for gone in [0..3, 3..5] {
            update(&mut bench, all[gone].iter().map(|key| key_left(key)).collect());
            done(&mut bench);
        }
        update(&mut bench, vec![key_left("k5"), key("k9", 2)]);
        assert_eq!(done(&mut bench), ["+k9 2"], "six of ten are too many, and the remaining keys are updated");
        bench
    };
    let mut bench = start();
    assert_eq!(
        bench.holds(),
        ["4 of 10 keys of /services/* remain; losing more than 50% at once is treated as suspicious (max_shrink)"]
    );
    let roster = &bench.engine.rosters()["services"];
    assert!(roster.is_held());
    let shown = roster.held_view();
    assert!(bench.roster("services").holds[0].acceptable);
    assert_eq!(roster.acceptance(Some(&shown)), Acceptance::AsShown);
    bench.input(Input::Accept("services".into(), shown));
    assert_eq!(done(&mut bench), ["-k5"], "accepted");
    assert!(!bench.engine.rosters()["services"].is_held());

    let mut bench = start();
    update(&mut bench, vec![key("k5", 1)]);
    assert_eq!((done(&mut bench), bench.engine.rosters()["services"].is_held()), (vec![], false), "the keys are back");

    let mut bench = start();
    bench.pass(seconds(10 * 60 - 10));
    assert_eq!(done(&mut bench), [""; 0]);
    bench.pass(seconds(10));
    assert_eq!(done(&mut bench), ["-k5"], "hold_max is over");

    // The view has changed since the operator saw it.
    let mut bench = start();
    let shown = bench.engine.rosters()["services"].held_view();
    update(&mut bench, vec![key_left("k6")]);
    bench.pass(seconds(3));
    bench.input(Input::Accept("services".into(), shown));
    assert_eq!(done(&mut bench), [""; 0]);
}

#[test]
fn a_hold_on_keys_survives_an_outage() {
    let all: Vec<String> = (0..10).map(|n| format!("k{n}")).collect();
    let some = |from: usize| -> Vec<(&str, usize)> { all[from..].iter().map(|key| (key.as_str(), 1)).collect() };
    let mut bench = bench(OnGone::Remove);
    bench.reset(&services(), keyed(&some(0)));
    done(&mut bench);
    bench.reset(&services(), keyed(&some(6)));
    assert_eq!(done(&mut bench), [""; 0]);
    let hold = |bench: &Bench| bench.engine.rosters()["services"].holds()[0].1.clone();
    let before = hold(&bench);
    for _ in 0..3 {
        bench.away();
        bench.pass(seconds(60));
        bench.reset(&services(), keyed(&some(6)));
        assert_eq!((done(&mut bench), hold(&bench)), (vec![], before.clone()));
    }
    assert!(!bench.events.iter().any(|event| matches!(event, Event::HoldReleased { .. })));
    bench.pass(before.reason.until().unwrap().since(bench.now));
    assert_eq!(done(&mut bench).len(), 6);
}

#[test]
fn an_unreadable_view_removes_no_key() {
    let mut bench = bench(OnGone::Remove);
    bench.reset(&services(), keyed(&[("a", 1), ("b", 1)]));
    done(&mut bench);
    update(&mut bench, vec![key_left("a")]);
    bench.away();
    bench.pass(Duration::from_hours(1));
    assert_eq!(done(&mut bench), [""; 0], "unreachable before it had settled");
    bench.reset(&services(), View::Keyed(Seen::Unreadable("no".into())));
    bench.pass(Duration::from_hours(1));
    assert_eq!(done(&mut bench), [""; 0], "unreadable");
    bench.reset(&services(), View::Keyed(Seen::Absent));
    bench.pass(Duration::from_hours(1));
    assert_eq!(done(&mut bench), [""; 0], "the parent is gone, and time does not end that hold");
    bench.reset(&services(), keyed(&[("b", 1)]));
    assert_eq!(done(&mut bench), ["-a"]);
    bench.reset(&services(), View::Keyed(Seen::Absent));
    bench.pass(seconds(3));
    let shown = bench.engine.rosters()["services"].held_view();
    bench.input(Input::Accept("services".into(), shown));
    assert_eq!(done(&mut bench), ["-b"], "but accept does");
}

#[test]
fn an_older_view_removes_no_key() {
    let mut bench = bench(OnGone::Remove);
    let at = |view, zxid| Update::Reset {
        subject: services(),
        view,
        versions: versions(&[("", zxid), ("a", zxid), ("b", zxid)]),
    };
    bench.registry_update(at(keyed(&[("a", 1), ("b", 1)]), 9));
    done(&mut bench);
    bench.registry_update(at(keyed(&[("a", 1)]), 5));
    bench.pass(Duration::from_hours(1));
    assert_eq!(done(&mut bench), [""; 0]);
    assert!(bench.holds()[0].contains("older state (zxid 0x5 after 0x9)"), "{:?}", bench.holds());
    bench.registry_update(at(keyed(&[("a", 1)]), 10));
    assert_eq!(done(&mut bench), ["-b"]);
}

#[test]
fn a_failed_removal_is_retried_unless_the_key_returns() {
    let mut bench = bench(OnGone::Remove);
    bench.reset(&services(), keyed(&[("a", 1), ("b", 1)]));
    done(&mut bench);
    update(&mut bench, vec![key_left("a")]);
    bench.pass(seconds(3));
    let failed = || Outcome::Failed(Failure::new(Stage::Write, "no"));
    assert_eq!(told(&bench.publish(failed())), "-a");
    bench.pass(seconds(2));
    assert_eq!(told(&bench.publications[0]), "-a");
    update(&mut bench, vec![key("a", 2)]);
    bench.pass(seconds(3));
    assert_eq!(told(&bench.publish(Outcome::Removed)), "-a");
    assert_eq!(done(&mut bench), ["+a 2"], "the latest state is that the key exists");
}

#[test]
fn files_of_keys_removed_during_downtime_are_removed() {
    let written = |keys: &[&str]| -> WrittenKeys {
        BTreeMap::from([("svc".into(), keys.iter().map(|key| Arc::from(*key)).collect::<BTreeSet<Arc<str>>>())])
    };
    let nothing = || plan(vec![], vec![], vec![]);
    let config = || plan(vec![roster("services", services())], vec![], vec![each(OnGone::Remove, &[])]);
    let mut bench = Bench::new(nothing());
    bench.input(Input::WrittenKeys(written(&["a", "b", "c"])));
    bench.input(Input::Configured(config()));
    assert_eq!(done(&mut bench), [""; 0], "nothing is known yet");
    bench.reset(&services(), keyed(&[("a", 1), ("b", 0)]));
    assert_eq!(done(&mut bench), ["+a 1", "-c"], "b holds");

    let mut bench = Bench::new(nothing());
    bench.input(Input::WrittenKeys(written(&["a", "b", "c", "d", "e"])));
    bench.input(Input::Configured(config()));
    bench.reset(&services(), keyed(&[("a", 1)]));
    assert_eq!(done(&mut bench), ["+a 1"], "four of five at once are held");
    bench.pass(Guard::DEFAULT.hold_max);
    assert_eq!(done(&mut bench).len(), 4);
}

const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[derive(Debug, Clone)]
enum Op {
    Put(usize, usize),
    Gone(usize),
    Resync,
    Lose,
    Pass(u64),
    Answer(bool),
    Configure,
    /// The agent is killed, and another one starts.
    Killed,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (0..KEYS.len(), 0usize..4).prop_map(|(key, count)| Op::Put(key, count)),
        4 => (0..KEYS.len()).prop_map(Op::Gone),
        1 => Just(Op::Resync),
        1 => Just(Op::Lose),
        3 => (0u64..3000).prop_map(Op::Pass),
        4 => any::<bool>().prop_map(Op::Answer),
        1 => Just(Op::Configure),
        1 => Just(Op::Killed),
    ]
}

struct World {
    bench: Bench,
    real: BTreeMap<&'static str, usize>,
    connected: bool,
    disk: BTreeMap<String, usize>,
}

impl World {
    fn plan() -> Plan {
        plan(vec![roster("services", services())], vec![], vec![each(OnGone::Remove, &[])])
    }

    fn resync(&mut self) {
        self.connected = true;
        let view: Vec<(&str, usize)> = self.real.iter().map(|(key, count)| (*key, *count)).collect();
        self.bench.reset(&services(), keyed(&view));
    }

    fn changed(&mut self, change: Change) {
        if self.connected {
            update(&mut self.bench, vec![change]);
        }
    }

    fn answer(&mut self, well: bool) {
        if self.bench.publications.is_empty() {
            return;
        }
        let (key, remove) = {
            let publication = &self.bench.publications[0];
            (publication.template.file_of().unwrap().1.to_string(), publication.remove)
        };
        if !well {
            self.bench.publish(Outcome::Failed(Failure::new(Stage::Write, String::new())));
        } else if remove {
            self.disk.remove(&key);
            self.bench.publish(Outcome::Removed);
        } else {
            let count = self.bench.publications[0].snapshot.own.as_ref().unwrap().1.len();
            assert!(count > 0, "below min");
            self.disk.insert(key, count);
            self.bench.publish(Outcome::Replaced);
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Put(at, count) => {
                self.real.insert(KEYS[at], count);
                self.changed(key(KEYS[at], count));
            }
            Op::Gone(at) => {
                if self.real.remove(KEYS[at]).is_some() {
                    self.changed(key_left(KEYS[at]));
                }
            }
            Op::Resync => self.resync(),
            Op::Lose => {
                self.connected = false;
                self.bench.away();
            }
            Op::Pass(ms) => self.bench.pass(Duration::from_millis(ms)),
            Op::Answer(well) => self.answer(well),
            Op::Configure => self.bench.input(Input::Configured(Self::plan())),
            Op::Killed => {
                let mut bench = Bench::with_saved(plan(vec![], vec![], vec![]), self.bench.saved.clone());
                let keys = self.disk.keys().map(|key| Arc::from(key.as_str())).collect();
                bench.input(Input::WrittenKeys(BTreeMap::from([("svc".into(), keys)])));
                bench.input(Input::Configured(Self::plan()));
                (self.bench, self.connected) = (bench, false);
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::support::random::config(2_000, 100_000))]

    #[test]
    fn the_files_converge_to_the_keys(ops in proptest::collection::vec(op(), 1..60)) {
        let bench = Bench::new(World::plan());
        let mut world = World { bench, real: BTreeMap::new(), connected: false, disk: BTreeMap::new() };
        world.resync();
        for op in &ops {
            let before: BTreeSet<String> = world.disk.keys().cloned().collect();
            world.apply(op);
            let lost = before.iter().filter(|key| !world.disk.contains_key(*key)).count();
            prop_assert!(lost <= 1, "one answer takes one file at most");
        }
        world.resync();
        for _ in 0..20 {
            while !world.bench.publications.is_empty() {
                world.answer(true);
            }
            world.bench.pass(seconds(70));
        }
        for (key, count) in &world.real {
            let held = world.disk.get(*key);
            prop_assert!(held == Some(count) || *count == 0, "{}: {:?} of {}", key, held, count);
        }
        for key in world.disk.keys() {
            prop_assert!(world.real.contains_key(key.as_str()), "{} stayed", key);
        }
    }
}

/// The agent is killed and restarted a minute later. Its registry has not been read yet.
fn restart(bench: &mut Bench, files: &[String]) {
    let now = bench.now + seconds(60);
    *bench = Bench::with_saved(plan(vec![], vec![], vec![]), std::mem::take(&mut bench.saved));
    bench.now = now;
    let keys = files.iter().map(|key| Arc::from(key.as_str())).collect();
    bench.input(Input::WrittenKeys(BTreeMap::from([("svc".into(), keys)])));
    bench.input(Input::Configured(plan(vec![roster("services", services())], vec![], vec![each(OnGone::Remove, &[])])));
}

#[test]
fn a_mass_loss_of_keys_in_steps_across_restarts_is_held() {
    let all: Vec<String> = (10..22).map(|n| format!("k{n}")).collect();
    let some = |count: usize| -> Vec<(&str, usize)> { all[..count].iter().map(|key| (key.as_str(), 1)).collect() };
    let mut bench = bench(OnGone::Remove);
    bench.reset(&services(), keyed(&some(12)));
    assert_eq!(done(&mut bench).len(), 12);
    restart(&mut bench, &all);
    bench.reset(&services(), keyed(&some(7)));
    let removed = done(&mut bench).iter().filter(|told| told.starts_with('-')).count();
    assert_eq!(removed, 5, "down to half");
    let mut hold = None;
    for _ in 0..3 {
        restart(&mut bench, &all[..7]);
        bench.reset(&services(), keyed(&some(4)));
        assert!(done(&mut bench).iter().all(|told| told.starts_with('+')), "under half of 12");
        assert!(bench.holds()[0].starts_with("4 of 12 keys "), "{:?}", bench.holds());
        let (_, now) = bench.engine.rosters()["services"].holds()[0];
        let known = hold.get_or_insert_with(|| now.clone());
        assert_eq!((now.since, now.reason.until()), (known.since, known.reason.until()), "it is the same hold");
    }
    let until = hold.and_then(|hold| hold.reason.until()).unwrap();
    bench.pass(until.since(bench.now));
    assert_eq!(done(&mut bench).len(), 3, "released after hold_max");
    restart(&mut bench, &all[..4]);
    bench.reset(&services(), keyed(&some(1)));
    done(&mut bench);
    assert!(bench.holds()[0].starts_with("1 of 7 keys "), "{:?}", bench.holds());
}

#[test]
fn accept_does_not_apply_to_later_views() {
    let mut bench = bench(OnGone::Remove);
    let at = |a, b, zxid| {
        let s = versions(&[("", zxid), ("a", zxid), ("b", zxid)]);
        Update::Reset { subject: services(), view: keyed(&[("a", a), ("b", b)]), versions: s }
    };
    bench.registry_update(at(18, 18, 9));
    assert_eq!(done(&mut bench).len(), 2);
    bench.registry_update(at(17, 0, 5));
    assert_eq!(done(&mut bench), [""; 0]);
    let shown = bench.engine.rosters()["services"].held_view();
    assert_eq!(shown.len(), 1);
    bench.input(Input::Accept("services".into(), shown));
    assert_eq!(done(&mut bench), ["+a 17"]);
    bench.registry_update(at(17, 1, 6));
    assert_eq!(done(&mut bench), [""; 0], "1 of 18 was shown to nobody");
}

#[test]
fn accepting_empty_keys_does_not_accept_their_removal() {
    let mut roster = roster("services", services());
    roster.bounds = Bounds::new(0, None, AboveMax::Cut).unwrap();
    let mut bench = Bench::new(plan(vec![roster], vec![], vec![each(OnGone::Remove, &[])]));
    bench.reset(&services(), keyed(&[("a", 4), ("b", 4)]));
    assert_eq!(done(&mut bench).len(), 2);
    bench.reset(&services(), keyed(&[("a", 0), ("b", 0)]));
    assert_eq!(done(&mut bench), [""; 0]);
    let shown = bench.engine.rosters()["services"].held_view();
    bench.reset(&services(), View::Keyed(Seen::Absent));
    assert_eq!(done(&mut bench), [""; 0]);
    bench.input(Input::Accept("services".into(), shown));
    assert_eq!(done(&mut bench), [""; 0], "empty lists were accepted, and not the removal of files");
}
