//! Members with which a file cannot be rendered, or that its check rejects, are found and excluded until they change. The
//! others are served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::{Command, RosterConfig};
use crate::decide::{
    Event, Failure, Input, Moment, Needs, Outcome, Plan, Publication, RosterValue, SlottedMember, Stage, TemplatePlan,
};
use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, NodeContent, Seen, View};
use proptest::prelude::*;

use super::harness::{Bench, left, plan, roster, seconds, template, web};

/// The registered members, and whether the check accepts each.
type Real = BTreeMap<String, bool>;

fn name(number: usize) -> String {
    format!("m{number:02}")
}

fn data(good: bool) -> Arc<[u8]> {
    Arc::from(format!(r#"{{"zone": "{}"}}"#, if good { "good" } else { "bad" }).as_bytes())
}

fn is_bad(entry: &SlottedMember) -> bool {
    entry.member.fields().data.get("zone").is_some_and(|zone| zone == "bad")
}

fn slotted(publication: &Publication) -> Vec<SlottedMember> {
    let lists = publication.snapshot.rosters.values().flat_map(|value| match value {
        RosterValue::List(slotted) => slotted.to_vec(),
        RosterValue::Map(keys) => keys.values().flat_map(|slotted| slotted.to_vec()).collect(),
    });
    let own = publication.snapshot.own.iter().flat_map(|(_, slotted)| slotted.to_vec());
    lists.chain(own).collect()
}

fn shown(publication: &Publication) -> BTreeSet<String> {
    slotted(publication).iter().map(|entry| entry.member.name().to_owned()).collect()
}

fn refused(why: &str) -> Outcome {
    failed(Stage::Refused, &format!("check \"c\" exited with 1:\n  {why}"))
}

fn failed(stage: Stage, message: &str) -> Outcome {
    Outcome::Failed(Failure::new(stage, message))
}

/// An agent whose files fail according to `refuses`.
struct World {
    bench: Bench,
    real: Real,
    refuses: fn(&[SlottedMember]) -> bool,
    /// The stage that fails.
    stage: Stage,
    /// The members of each replacement, in order.
    placed: Vec<BTreeSet<String>>,
    probes: usize,
}

impl World {
    fn new(real: Real, refuses: fn(&[SlottedMember]) -> bool) -> Self {
        Self::planned(plan(vec![follows("web", 1)], Vec::new(), vec![checked(&["web"])]), real, refuses)
    }

    fn planned(plan: Plan, real: Real, refuses: fn(&[SlottedMember]) -> bool) -> Self {
        let stage = Stage::Refused;
        let mut world = Self { bench: Bench::new(plan), real, refuses, stage, placed: Vec::new(), probes: 0 };
        world.bench.reset(&web(), view(&world.real));
        world.bench.pass(seconds(3));
        world
    }

    fn change(&mut self, member: usize, good: Option<bool>) {
        let name = name(member);
        let change = if let Some(good) = good {
            self.real.insert(name.clone(), good);
            Change::Put { key: None, name: Arc::from(name), reading: Ok(NodeContent::ephemeral(data(good))) }
        } else {
            self.real.remove(&name);
            left(&name)
        };
        self.bench.change(vec![change]);
    }

    /// Answers what is open, oldest first. Returns whether anything was open.
    fn answer(&mut self) -> bool {
        let why = |slotted: &[SlottedMember]| {
            let bad = slotted.iter().find(|it| is_bad(it));
            bad.map_or_else(|| "nothing is right".to_owned(), |bad| format!("{} is bad", bad.member.name()))
        };
        if let Some(probe) = (!self.bench.probes.is_empty()).then(|| self.bench.probes.remove(0)) {
            self.probes += 1;
            let slotted = slotted(&probe);
            let is_refused = (self.refuses)(&slotted);
            let outcome = if is_refused { failed(self.stage, &why(&slotted)) } else { Outcome::WouldReplace };
            self.bench.input(Input::Probed(probe.id, outcome));
        } else if let Some(publication) = self.bench.publications.first() {
            let slotted = slotted(publication);
            if (self.refuses)(&slotted) {
                self.bench.publish(failed(self.stage, &why(&slotted)));
            } else {
                self.placed.push(shown(publication));
                self.bench.publish(Outcome::Replaced);
            }
        } else {
            return false;
        }
        true
    }

    /// Answers everything until nothing more is requested at once.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.answer() {
                return;
            }
        }
        panic!("requests never end");
    }

    /// Advances the time to every pending wake, and answers what is requested.
    fn rest(&mut self) {
        for _ in 0..6 {
            self.settle();
            self.bench.pass(seconds(70));
        }
        self.settle();
    }

    fn isolated(&self) -> BTreeSet<String> {
        let template = self.bench.engine.templates().values().next().unwrap();
        template.isolated().keys().map(|member_ref| member_ref.member.to_string()).collect()
    }

    fn good(&self) -> BTreeSet<String> {
        self.real.iter().filter(|(_, good)| **good).map(|(name, _)| name.clone()).collect()
    }

    fn said(&self, what: fn(&Event) -> bool) -> usize {
        self.bench.events.iter().filter(|event| what(event)).count()
    }
}

fn follows(name: &str, min: usize) -> RosterConfig {
    let mut config = roster(name, web());
    config.guard.max_shrink_percent = 100;
    config.bounds = crate::config::Bounds::new(min, None, crate::config::AboveMax::Cut).unwrap();
    config
}

fn checked(needs: &[&str]) -> TemplatePlan {
    with(template("t", needs, "reload"), |config| config.check = Some(Command::Shell("c".into())))
}

fn with(plan: TemplatePlan, change: impl FnOnce(&mut crate::config::TemplateConfig)) -> TemplatePlan {
    let mut config = (*plan.config).clone();
    change(&mut config);
    TemplatePlan { config: Arc::new(config), ..plan }
}

fn view(real: &Real) -> View {
    View::Members(Seen::Present(
        real.iter().map(|(name, good)| (Arc::from(&**name), Ok(NodeContent::ephemeral(data(*good))))).collect(),
    ))
}

fn real(count: usize, bad: &[usize]) -> Real {
    (0..count).map(|number| (name(number), !bad.contains(&number))).collect()
}

fn any_bad(slotted: &[SlottedMember]) -> bool {
    slotted.iter().any(is_bad)
}

/// A list that must not be empty, such as an nginx server group.
fn bad_or_empty(slotted: &[SlottedMember]) -> bool {
    slotted.is_empty() || any_bad(slotted)
}

fn names(numbers: &[usize]) -> BTreeSet<String> {
    numbers.iter().map(|number| name(*number)).collect()
}

#[test]
fn one_refused_member_of_fifty_is_found_and_left_out() {
    let mut world = World::new(real(50, &[17]), any_bad);
    world.settle();
    assert_eq!(world.placed, [world.good()]);
    assert_eq!(world.isolated(), names(&[17]));
    assert!(world.probes <= 2 * 6 + 2, "{} probes", world.probes);
    let told = world.bench.events.iter().find_map(|event| match event {
        Event::MemberIsolated { roster, member, reason, .. } => Some((format!("{member} of {roster}"), reason.clone())),
        _ => None,
    });
    let (member_ref, why) = told.expect("it is reported");
    assert_eq!(member_ref, "m17 of web");
    assert!(why.ends_with("m17 is bad"), "in the check's words: {why}");
    assert_eq!(
        world.said(|it| matches!(it, Event::CheckRefused { .. } | Event::CheckFailed { .. })),
        0,
        "nothing is failing any more"
    );
    assert_eq!(world.bench.reloads.len(), 1);
}

#[test]
fn only_new_members_are_candidates_after_a_pass() {
    let mut world = World::new(real(50, &[]), any_bad);
    world.settle();
    world.change(60, Some(false));
    world.bench.pass(seconds(3));
    world.settle();
    assert_eq!(world.isolated(), names(&[60]));
    assert_eq!(world.probes, 2, "one without the new member, one with it");
}

#[test]
fn a_changed_member_is_retried_and_a_removed_one_forgotten() {
    let mut world = World::new(real(10, &[3, 4]), any_bad);
    world.settle();
    assert_eq!(world.isolated(), names(&[3, 4]));
    // Another member joins: the two stay excluded, and no search starts.
    let probes = world.probes;
    world.change(20, Some(true));
    world.bench.pass(seconds(3));
    world.settle();
    assert_eq!((world.probes, world.isolated()), (probes, names(&[3, 4])));
    world.change(3, Some(true));
    world.change(4, None);
    world.bench.pass(seconds(3));
    world.settle();
    assert_eq!(world.placed.last(), Some(&world.good()));
    assert_eq!(world.isolated(), BTreeSet::new());
    assert_eq!(world.said(|it| matches!(it, Event::MemberRetried { .. })), 1);
    assert_eq!(world.said(|it| matches!(it, Event::MemberIsolated { .. })), 2, "each once");
}

#[test]
fn an_isolated_member_removed_during_a_search_frees_its_share() {
    let mut world = World::new(real(4, &[0, 1]), any_bad);
    world.settle();
    world.change(10, Some(false));
    world.bench.pass(seconds(3));
    world.answer();
    world.change(0, None);
    world.bench.pass(seconds(3));
    world.rest();
    assert_eq!(world.isolated(), names(&[1, 10]));
}

#[test]
fn remaining_members_keep_their_slots() {
    let mut world = World::new(real(8, &[2]), any_bad);
    while world.bench.publications.is_empty() || any_bad(&slotted(&world.bench.publications[0])) {
        assert!(world.answer());
    }
    let slots: Vec<u32> = slotted(&world.bench.publications[0]).iter().map(|entry| entry.slot).collect();
    assert_eq!(slots, [0, 1, 3, 4, 5, 6, 7]);
}

#[test]
fn a_check_that_always_fails_isolates_no_member() {
    let mut world = World::new(real(50, &[]), |_| true);
    world.settle();
    let probes = 1 + 2 + 4 + 8;
    assert_eq!(world.probes, probes, "one without all members, and one for each part");
    assert_eq!(world.said(|it| matches!(it, Event::CheckRefused { retry_in_s: Some(_), .. })), 1);
    // In seven minutes it is published several times, and searched again after one minute and after three.
    world.rest();
    assert_eq!(world.probes, 3 * probes, "the pauses between searches grow");
    assert!(world.said(|it| matches!(it, Event::CheckRefused { .. })) > 3);
    assert_eq!((world.placed.len(), world.isolated().len()), (0, 0));
}

#[test]
fn a_check_that_fails_for_everything_costs_one_probe_per_change() {
    static BROKEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let mut world = World::new(real(50, &[]), |_| BROKEN.load(std::sync::atomic::Ordering::Relaxed));
    world.settle();
    BROKEN.store(true, std::sync::atomic::Ordering::Relaxed);
    world.change(60, Some(true));
    world.bench.pass(seconds(3));
    world.settle();
    assert_eq!((world.probes, world.isolated().len()), (1, 0));
}

#[test]
fn a_list_that_must_not_be_empty_is_probed_in_parts() {
    for bad in [&[0][..], &[9], &[0, 1], &[3, 6, 9]] {
        let mut world = World::new(real(10, bad), bad_or_empty);
        world.settle();
        assert_eq!(world.isolated(), names(bad));
        assert_eq!(world.placed, [world.good()]);
    }
}

#[test]
fn at_least_min_and_half_of_the_members_remain() {
    for (count, min, bad, found) in [(4, 1, &[0, 1][..], true), (4, 3, &[0, 1], false), (4, 1, &[0, 1, 2], false)] {
        let plan = plan(vec![follows("web", min)], Vec::new(), vec![checked(&["web"])]);
        let mut world = World::planned(plan, real(count, bad), any_bad);
        world.rest();
        if found {
            assert_eq!(world.placed, [world.good()]);
            continue;
        }
        assert_eq!((world.placed.len(), world.isolated().len()), (0, 0), "{count} {min} {bad:?}");
        let failure = world.bench.engine.templates()["t"].failure().unwrap();
        assert!(failure.message.contains("members of web"), "{}", failure.message);
    }
    // The excluded members become too many when others leave.
    let mut world = World::new(real(6, &[0, 1]), any_bad);
    world.settle();
    let placed = world.placed.len();
    for member in 2..5 {
        world.change(member, None);
    }
    world.bench.pass(seconds(3));
    world.rest();
    assert_eq!(world.placed.len(), placed, "only one of three would be served");
}

#[test]
fn a_member_refused_temporarily_is_readmitted() {
    let mut world = World::new(real(50, &[7, 31]), any_bad);
    world.settle();
    assert_eq!((world.isolated(), world.placed.len()), (names(&[7, 31]), 1));
    let probes = world.probes;
    // The cause of the refusal is gone, and no member has changed.
    world.refuses = |_| false;
    world.bench.pass(seconds(59));
    assert!(world.bench.is_idle() || world.bench.probes.is_empty());
    world.bench.pass(seconds(2));
    world.settle();
    assert_eq!(world.isolated(), BTreeSet::new());
    assert_eq!(world.placed.len(), 2, "both are published at once");
    assert_eq!(world.placed[1].len(), 50);
    assert_eq!(world.probes - probes, 2, "one for each");
    assert_eq!(world.said(|it| matches!(it, Event::MemberReadmitted { .. })), 2);
    assert_eq!(world.said(|it| matches!(it, Event::CheckRefused { .. })), 0);
}

#[test]
fn retries_of_a_refused_member_back_off_and_are_reported_once() {
    let mut world = World::new(real(50, &[7]), any_bad);
    world.settle();
    let probes = world.probes;
    // After 1, 3, 7, 15, 31 and 63 minutes, and each hour after that.
    let mut tried = Vec::new();
    for minute in 1..=300 {
        world.bench.pass(seconds(60));
        let before = world.probes;
        world.settle();
        tried.extend((world.probes > before).then_some(minute));
    }
    assert_eq!(tried, [1, 3, 7, 15, 31, 63, 123, 183, 243]);
    assert_eq!(world.probes - probes, tried.len());
    assert_eq!(world.said(|it| matches!(it, Event::MemberIsolated { .. })), 1);
    assert_eq!((world.placed.len(), world.isolated()), (1, names(&[7])), "and no other member is affected");
}

#[test]
fn a_change_precedes_a_retry_and_a_timed_out_retry_is_postponed() {
    let mut world = World::new(real(10, &[3]), any_bad);
    world.settle();
    world.bench.pass(seconds(61));
    let probe = world.bench.probes.remove(0);
    world.change(20, Some(true));
    world.bench.pass(seconds(3));
    assert!(world.bench.publications.is_empty(), "one request at a time");
    let late = Outcome::Failed(Failure::new(Stage::Check, "too long"));
    world.bench.input(Input::Probed(probe.id, late));
    world.settle();
    assert_eq!((world.placed.last(), world.isolated()), (Some(&world.good()), names(&[3])));
    // It is postponed, not dropped.
    world.refuses = |_| false;
    world.bench.pass(seconds(121));
    world.settle();
    assert_eq!(world.placed.last().map(BTreeSet::len), Some(11));
}

#[test]
fn no_member_is_retried_during_a_pause_or_a_single_pass() {
    let mut world = World::new(real(10, &[3]), any_bad);
    world.settle();
    world.bench.reload(crate::decide::ReloadOutcome::Succeeded);
    world.bench.input(Input::Paused(world.bench.now + seconds(1000)));
    world.bench.pass(seconds(900));
    assert!(world.bench.is_idle());
    world.bench.pass(seconds(101));
    assert_eq!(world.bench.probes.len(), 1);

    let plan = plan(vec![follows("web", 1)], Vec::new(), vec![checked(&["web"])]);
    let bench =
        Bench::in_mode(crate::decide::RunMode::Once { max_stale: None }, plan, crate::decide::SavedState::new());
    let (real, stage) = (real(10, &[3]), Stage::Refused);
    let mut world = World { bench, real, refuses: any_bad, stage, placed: Vec::new(), probes: 0 };
    world.bench.reset(&web(), view(&world.real));
    world.bench.pass(seconds(3));
    world.settle();
    assert_eq!(world.isolated(), names(&[3]));
    world.bench.pass(seconds(100_000));
    assert!(world.bench.probes.is_empty());
}

#[test]
fn a_refused_member_is_found_after_the_check_works_again() {
    let mut world = World::new(real(50, &[17]), |_| true);
    world.settle();
    assert_eq!((world.placed.len(), world.isolated().len()), (0, 0));
    // The check works again, and no member has changed. The search without a result is repeated.
    world.refuses = any_bad;
    world.rest();
    assert_eq!(world.isolated(), names(&[17]));
    assert_eq!(world.placed, [world.good()]);
}

#[test]
fn constant_changes_do_not_prevent_the_end_of_a_search() {
    let mut config = follows("web", 1);
    config.wait = crate::config::Wait::NONE;
    let plan = plan(vec![config], Vec::new(), vec![checked(&["web"])]);
    let mut world = World::planned(plan, real(50, &[17]), any_bad);
    // A member joins or leaves during each check.
    let mut steps = 0;
    while world.placed.is_empty() {
        steps += 1;
        assert!(steps <= 40, "{} probes, and nothing is served", world.probes);
        world.change(100 + steps % 30, (steps % 60 < 30).then_some(true));
        assert!(world.answer());
    }
    assert_eq!(world.isolated(), names(&[17]));
    world.settle();
    assert_eq!(world.placed.last(), Some(&world.good()), "and the latest wins");
}

#[test]
fn a_change_during_a_search_without_result_is_published_at_once() {
    let mut config = follows("web", 1);
    config.wait = crate::config::Wait::NONE;
    let plan = plan(vec![config], Vec::new(), vec![checked(&["web"])]);
    let mut world = World::planned(plan, real(4, &[0, 1, 2]), any_bad);
    world.answer();
    world.answer();
    assert!(!world.bench.probes.is_empty());
    for member in 0..3 {
        world.change(member, Some(true));
    }
    world.settle();
    assert_eq!(world.placed, [world.good()], "and no time has passed");
}

/// A check that refuses at random, in `chance` percent of its runs.
fn flaky(chance: u64) -> bool {
    static STATE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let next = |n: u64| n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let order = std::sync::atomic::Ordering::Relaxed;
    let n = STATE.fetch_update(order, order, |n| Some(next(n))).unwrap();
    (n >> 33) % 100 < chance
}

#[test]
fn a_randomly_failing_check_isolates_few_members_and_ends() {
    let mut worst = 0;
    for round in 0..100 {
        let mut world = World::new(real(50, &[]), |_| flaky(30));
        let mut most = 0;
        for _ in 0..30 {
            for _ in 0..200 {
                if !world.answer() {
                    break;
                }
                most = most.max(world.isolated().len());
            }
            assert!(world.bench.is_idle() || world.bench.probes.is_empty(), "round {round} does not end");
            world.bench.pass(seconds(30));
        }
        worst = worst.max(most);
        assert!(!world.placed.is_empty(), "round {round}");
        // Once the check works again, all members are served.
        world.refuses = |_| false;
        for _ in 0..200 {
            world.settle();
            world.bench.pass(seconds(60));
        }
        assert_eq!((world.placed.last().map(BTreeSet::len), world.isolated().len()), (Some(50), 0), "round {round}");
    }
    println!("at most {worst} of 50 were left out at a time");
    assert!(worst <= 12, "{worst} of 50 were left out");
}

#[test]
fn three_refused_members_of_ten_thousand_take_few_probes() {
    let bad = [17, 5_000, 9_999];
    let mut world = World::new(real(10_000, &bad), any_bad);
    world.settle();
    assert_eq!(world.isolated(), names(&bad));
    assert_eq!(world.placed.last().map(BTreeSet::len), Some(9_997));
    assert!(world.probes <= 2 * 3 * 14 + 5, "{} probes", world.probes);
}

#[test]
fn of_two_members_refused_only_together_one_remains() {
    let both =
        |slotted: &[SlottedMember]| slotted.iter().filter(|it| ["m03", "m40"].contains(&it.member.name())).count() == 2;
    let mut world = World::new(real(50, &[]), both);
    world.settle();
    assert_eq!((world.isolated().len(), world.placed.last().map(BTreeSet::len)), (1, Some(49)));
    assert!(world.isolated().is_subset(&names(&[3, 40])));
    world.rest();
    assert_eq!((world.placed.len(), world.isolated().len()), (1, 1), "and it stays so");
}

/// A unit of two templates with a check each: that of `a` refuses all bad members, that of `b` those it names.
fn unit(real: Real, b: fn(&[SlottedMember]) -> bool) -> (World, impl Fn(&mut World, bool)) {
    let made = |name: &str| {
        with(template(name, &["web"], "reload"), |config| {
            config.check = Some(Command::Shell("c".into()));
            config.unit = Some("u".into());
        })
    };
    let plan = plan(vec![follows("web", 1)], Vec::new(), vec![made("a"), made("b")]);
    let world = World::planned(plan, real, any_bad);
    let settle = move |world: &mut World, mended: bool| {
        for _ in 0..1000 {
            let refuses = |name: &str, slotted: &[SlottedMember]| {
                !mended && if name == "a" { any_bad(slotted) } else { b(slotted) }
            };
            if !world.bench.probes.is_empty() {
                let probe = world.bench.probes.remove(0);
                world.probes += 1;
                let is_refused = refuses(&probe.template.name, &slotted(&probe));
                let outcome = if is_refused { refused("no") } else { Outcome::WouldReplace };
                world.bench.input(Input::Probed(probe.id, outcome));
            } else if world.bench.publications.len() == 2 {
                let bad: Vec<bool> =
                    world.bench.publications.iter().map(|it| refuses(&it.template.name, &slotted(it))).collect();
                let kept = || Outcome::Failed(Failure::new(Stage::Unit, "kept back"));
                world.placed.extend(bad.iter().all(|bad| !bad).then(|| shown(&world.bench.publications[0])));
                assert_eq!(shown(&world.bench.publications[0]), shown(&world.bench.publications[1]));
                for is_bad in &bad {
                    let none = bad.iter().all(|bad| !bad);
                    let outcome = if *is_bad {
                        refused("no")
                    } else if none {
                        Outcome::Replaced
                    } else {
                        kept()
                    };
                    world.bench.publish(outcome);
                }
            } else {
                assert!(world.bench.publications.is_empty());
                return;
            }
        }
        panic!("it never ends");
    };
    (world, settle)
}

#[test]
fn a_unit_isolates_and_readmits_the_refused_members_of_all_checks() {
    let fifth = |slotted: &[SlottedMember]| slotted.iter().any(|it| it.member.name() == "m05");
    for (b, expected) in [(fifth as fn(&[SlottedMember]) -> bool, 18), (any_bad, 19)] {
        let (mut world, settle) = unit(real(20, &[3]), b);
        settle(&mut world, false);
        assert_eq!(world.placed.last().map(BTreeSet::len), Some(expected));
        // While they are refused, nothing more is written.
        for _ in 0..20 {
            world.bench.pass(seconds(60));
            settle(&mut world, false);
        }
        assert_eq!(world.placed.len(), 1);
        for _ in 0..120 {
            world.bench.pass(seconds(60));
            settle(&mut world, true);
        }
        assert_eq!(world.placed.last().map(BTreeSet::len), Some(20));
        for template in world.bench.engine.templates().values() {
            assert!(template.isolated().is_empty());
        }
    }
}

#[test]
fn a_member_with_which_the_template_cannot_be_rendered_is_left_out_with_and_without_a_check() {
    for template in [template("t", &["web"], "reload"), checked(&["web"])] {
        let plan = plan(vec![follows("web", 1)], Vec::new(), vec![template]);
        let mut world = World { stage: Stage::Render, ..World::planned(plan, real(50, &[17]), any_bad) };
        world.settle();
        assert_eq!((world.placed.last(), world.isolated()), (Some(&world.good()), names(&[17])));
        assert!(world.probes <= 2 * 6 + 2, "{} probes", world.probes);
        let reasons = world.bench.events.iter().filter_map(|event| match event {
            Event::MemberIsolated { member, reason, .. } => Some(format!("{member}: {reason}")),
            Event::RenderFailed { .. } => Some("nothing is failing any more".to_owned()),
            _ => None,
        });
        let reasons: Vec<String> = reasons.collect();
        assert_eq!(reasons, ["m17: the template cannot be rendered with it: m17 is bad"]);
        // It is retried unchanged, because a key can be at fault as well.
        world.refuses = |_| false;
        world.rest();
        assert_eq!(world.placed.last().map(BTreeSet::len), Some(50));
    }
}

#[test]
fn a_template_that_fails_without_members_too_is_searched_once() {
    let plan = plan(vec![follows("web", 1)], Vec::new(), vec![template("t", &["web"], "reload")]);
    let mut world = World { stage: Stage::Render, ..World::planned(plan, real(50, &[]), |_| true) };
    world.rest();
    assert_eq!((world.placed.len(), world.isolated().len()), (0, 0));
    assert_eq!(world.said(|it| matches!(it, Event::RenderFailed { .. })), 1);
    assert!(world.probes <= 15, "{} probes", world.probes);
}

#[test]
fn without_isolate_a_refused_file_is_a_failure() {
    let template = with(checked(&["web"]), |config| config.isolate = false);
    let mut world = World::planned(plan(vec![follows("web", 1)], Vec::new(), vec![template]), real(10, &[3]), any_bad);
    world.rest();
    assert_eq!((world.probes, world.placed.len(), world.isolated().len()), (0, 0, 0));
    assert!(world.bench.engine.templates()["t"].failure().is_some());
}

#[test]
fn a_check_that_timed_out_isolates_no_member() {
    let mut world = World::new(real(10, &[3]), any_bad);
    let late = || Outcome::Failed(Failure::new(Stage::Check, "too long"));
    world.bench.publish(late());
    assert!(world.bench.probes.is_empty());
    world.bench.pass(seconds(2));
    // The same during a search, which starts again with the next retry.
    world.bench.publish(refused("bad"));
    let probe = world.bench.probes.remove(0);
    world.bench.input(Input::Probed(probe.id, late()));
    assert!(world.bench.probes.is_empty());
    world.rest();
    assert_eq!(world.isolated(), names(&[3]));
}

#[test]
fn a_new_configuration_retries_all_members() {
    let mut world = World::new(real(10, &[3]), any_bad);
    world.settle();
    world.refuses = |_| false;
    world.bench.input(Input::Configured(plan(vec![follows("web", 1)], Vec::new(), vec![checked(&["web"])])));
    world.settle();
    assert_eq!(world.placed.last().map(BTreeSet::len), Some(10));
    // The same in the middle of a search.
    let mut world = World::new(real(10, &[3]), any_bad);
    world.answer();
    world.answer();
    assert!(!world.bench.probes.is_empty());
    world.refuses = |_| false;
    world.bench.input(Input::Configured(plan(vec![follows("web", 1)], Vec::new(), vec![checked(&["web"])])));
    world.settle();
    assert_eq!(world.placed.last().map(BTreeSet::len), Some(10));
}

#[test]
fn each_key_is_searched_by_itself() {
    let services = Subject::parse("/services/*").unwrap();
    let mut config = roster("services", services.clone());
    config.guard.max_shrink_percent = 100;
    let needs = Needs { names: BTreeSet::from([Arc::from("services")]), ..Needs::default() };
    let template = TemplatePlan { needs, ..checked(&[]) };
    let mut bench = Bench::new(plan(vec![config], Vec::new(), vec![template]));
    let list = |bad: &[usize]| {
        Seen::Present(
            real(4, bad)
                .iter()
                .map(|(name, good)| (Arc::from(&**name), Ok(NodeContent::ephemeral(data(*good)))))
                .collect(),
        )
    };
    let keys = BTreeMap::from([(Arc::from("a"), list(&[])), (Arc::from("b"), list(&[2]))]);
    bench.reset(&services, View::Keyed(Seen::Present(keys)));
    bench.pass(seconds(3));
    let (real, stage) = (Real::new(), Stage::Refused);
    let mut world = World { bench, real, refuses: any_bad, stage, placed: Vec::new(), probes: 0 };
    while world.bench.publications.first().is_none_or(|it| any_bad(&slotted(it))) {
        assert!(world.answer());
    }
    let publication = &world.bench.publications[0];
    let lists = crate::decide::engine::tests::harness::names_by_key(publication, "services");
    assert_eq!((lists["a"].len(), &lists["b"]), (4, &vec![name(0), name(1), name(3)]));
    let spots: Vec<String> = world.bench.engine.templates()["t"].isolated().keys().map(ToString::to_string).collect();
    assert_eq!(spots, ["m02 of services[b]"]);
}

#[test]
fn nothing_is_probed_during_a_pause_or_while_stopping() {
    let mut world = World::new(real(10, &[3]), any_bad);
    world.answer();
    world.bench.input(Input::Paused(Moment::START + seconds(10_000)));
    world.answer();
    assert!(world.bench.is_idle());
    world.bench.input(Input::Resumed);
    world.settle();
    assert_eq!(world.isolated(), names(&[3]));

    let mut world = World::new(real(10, &[3]), any_bad);
    world.answer();
    world.bench.input(Input::Stopping);
    world.answer();
    assert!(world.bench.is_idle() && !world.bench.engine.is_publishing());
    assert_eq!(world.said(|it| matches!(it, Event::CheckRefused { .. })), 1, "the reason for the current file");
}

proptest! {
    #![proptest_config(crate::support::random::config(200, 5_000))]

    /// Whichever members are bad: exactly these are excluded, with few probes.
    #[test]
    fn exactly_the_refused_members_are_isolated(count in 2_usize..=60, picks in prop::collection::vec(0_usize..60, 1..12), empty in any::<bool>()) {
        let bad: BTreeSet<usize> = picks.into_iter().map(|pick| pick % count).take(count / 2).collect();
        let bad: Vec<usize> = bad.into_iter().collect();
        let refuses = if empty { any_bad } else { bad_or_empty };
        let mut world = World::new(real(count, &bad), refuses);
        world.settle();
        let logarithm = count.next_power_of_two().ilog2() as usize;
        let most = 2 * bad.len() * logarithm + bad.len() + 2;
        if empty {
            prop_assert!(world.probes <= most, "{} probes for {} of {count}", world.probes, bad.len());
        }
        if empty || world.isolated().len() == bad.len() {
            prop_assert_eq!(world.isolated(), names(&bad));
            prop_assert_eq!(&world.placed, &[world.good()]);
        } else {
            // Each part contained a bad member.
            prop_assert!(bad.len() >= 2 && world.placed.is_empty() && world.isolated().is_empty());
            prop_assert!(world.probes <= 15);
        }
    }

    /// Whatever changes during a search: at the end exactly the bad members are excluded, or none if they are too many.
    /// No bad member is ever written.
    #[test]
    fn changes_during_a_search_are_published(
        count in 2_usize..=20,
        picks in prop::collection::vec(0_usize..20, 0..4),
        changes in prop::collection::vec((0_usize..8, 0_usize..30, prop::option::of(any::<bool>())), 0..12),
    ) {
        let bad: Vec<usize> = picks.into_iter().map(|pick| pick % count).collect();
        let mut world = World::new(real(count, &bad), any_bad);
        for (answers, member, good) in changes {
            for _ in 0..answers {
                world.answer();
            }
            world.change(member, good);
            world.bench.pass(seconds(3));
        }
        world.rest();
        let (good, all) = (world.good(), world.real.len());
        let bad = all - good.len();
        if bad <= all / 2 && !good.is_empty() {
            prop_assert_eq!(world.placed.last(), Some(&good));
            prop_assert_eq!(world.isolated().len(), bad);
        } else if all > 0 {
            let failed = world.bench.engine.templates()["t"].failure().is_some();
            prop_assert!(failed, "{:?} of {:?}", world.placed.last(), world.real);
        }
        prop_assert!(world.bench.is_idle() || world.bench.probes.is_empty());
    }
}

#[test]
fn every_member_that_is_left_out_is_in_the_status() {
    let mut world = World::new(real(8, &[2, 5]), any_bad);
    world.settle();
    let status = super::reports::status(&world.bench);
    let template = &status.templates[0];
    let shown: Vec<&String> = template.waiting_for.iter().chain(&template.warnings).collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    for (text, member) in shown.iter().zip(["m02", "m05"]) {
        assert!(text.starts_with(&format!("{member} of web is isolated: ")), "{text}");
    }
    assert_eq!((status.rosters[0].members, status.rosters[0].left_out), (8, 2));
}
