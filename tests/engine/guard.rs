//! Mass loss: at once, in steps, and over restarts of the agent between the steps.

use std::time::Duration;

use proptest::prelude::*;
use rosterd::config::{AboveMax, Bounds, RosterConfig, Wait};
use rosterd::decide::{Input, Moment, Outcome, Plan};
use rosterd::sighting::Zxid;

use crate::harness::{Bench, left, names, plan, present, roster, seconds, template, web};

const HOLD_MAX: Duration = Duration::from_mins(20);
const WINDOW: Duration = Duration::from_mins(15);

fn config() -> RosterConfig {
    let mut config = roster("web", web());
    config.wait = Wait::NONE;
    config.bounds = Bounds::new(2, None, AboveMax::Cut).unwrap();
    config.guard.hold_max = HOLD_MAX;
    config
}

fn one() -> Plan {
    plan(vec![config()], vec![], vec![template("a", &["web"], "")])
}

fn all() -> Vec<String> {
    (10..28).map(|n| format!("m{n}:1")).collect()
}

fn show(bench: &mut Bench, members: usize) {
    let all = all();
    bench.reset(&web(), present(&all[..members].iter().map(String::as_str).collect::<Vec<_>>()));
    bench.pass(seconds(0));
}

/// The agent is killed, and begins anew after a while. Its registry is not heard of yet.
fn restart(bench: &mut Bench, down: Duration) {
    let now = bench.now + down;
    *bench = Bench::recalling(one(), std::mem::take(&mut bench.remembered));
    bench.now = now;
}

fn since(bench: &Bench) -> Moment {
    bench.engine.rosters()["web"].holds()[0].1.since
}

fn until(bench: &Bench) -> Option<Moment> {
    bench.engine.rosters()["web"].holds()[0].1.reason.until()
}

#[test]
fn a_loss_in_steps_does_not_slip_through_over_restarts_between_them() {
    let mut bench = Bench::new(one());
    show(&mut bench, 18);
    bench.publish(Outcome::Replaced);
    for members in [14, 11, 9] {
        restart(&mut bench, seconds(60));
        show(&mut bench, members);
        assert_eq!(names(&bench.publish(Outcome::Replaced), "web").len(), members, "down to half");
    }
    for members in [8, 7, 6] {
        restart(&mut bench, seconds(60));
        show(&mut bench, members);
        assert_eq!(names(&bench.publish(Outcome::Unchanged), "web").len(), 9, "{members} are under half of 18");
        assert!(bench.holds()[0].starts_with(&format!("{members} of 18 members ")), "{:?}", bench.holds());
    }
    restart(&mut bench, seconds(60));
    show(&mut bench, 9);
    assert!(bench.engine.rosters()["web"].holds().is_empty(), "recovered");
}

#[test]
fn a_hold_and_its_end_survive_a_restart() {
    let mut bench = Bench::new(one());
    show(&mut bench, 18);
    bench.publish(Outcome::Replaced);
    bench.pass(seconds(300));
    show(&mut bench, 6);
    let (began, ends) = (since(&bench), until(&bench));
    assert_eq!(ends, Some(began + HOLD_MAX));
    for _ in 0..3 {
        // Longer than the window in all: what it was measured by is not forgotten while it holds.
        restart(&mut bench, seconds(360));
        show(&mut bench, 6);
        assert_eq!((since(&bench), until(&bench)), (began, ends));
        assert_eq!(names(&bench.publish(Outcome::Unchanged), "web").len(), 18);
    }
    bench.pass(ends.unwrap().since(bench.now) + seconds(1));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web").len(), 6, "let through when it was to be");
    // That is the new baseline, over a restart too.
    restart(&mut bench, seconds(1));
    show(&mut bench, 3);
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web").len(), 3);
    // A hold for another reason: only its beginning is to be kept.
    show(&mut bench, 1);
    let began = since(&bench);
    restart(&mut bench, seconds(7200));
    show(&mut bench, 0);
    assert_eq!((since(&bench), until(&bench)), (began, None));
    bench.publish(Outcome::Unchanged);
    bench.pass(seconds(24 * 3600));
    assert!(bench.publications.is_empty(), "never below min");
}

#[test]
fn what_was_accepted_stays_so_over_a_restart() {
    let mut bench = Bench::new(one());
    show(&mut bench, 18);
    bench.publish(Outcome::Replaced);
    show(&mut bench, 6);
    let shown = bench.engine.rosters()["web"].shown();
    bench.input(Input::Accept("web".into(), shown));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web").len(), 6);
    restart(&mut bench, seconds(5));
    show(&mut bench, 5);
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web").len(), 5);
    restart(&mut bench, seconds(5));
    show(&mut bench, 2);
    assert!(bench.holds()[0].starts_with("2 of 6 members "), "{:?}", bench.holds());
}

#[test]
fn a_view_that_is_only_held_raises_what_is_remembered() {
    let mut bench = Bench::new(one());
    let some = all();
    let some: Vec<&str> = some.iter().map(String::as_str).collect();
    bench.reset_at(present(&some[..4]), 10);
    bench.publish(Outcome::Replaced);
    bench.change_at(vec![left(some[0]), left(some[1]), left(some[2])], 50);
    bench.pass(seconds(0));
    assert_eq!(bench.holds(), ["/services/web has 1 member, needs at least 2"]);
    let known = &bench.remembered["web"].paths[""];
    assert_eq!((known.stamp, known.members.len()), (Some(Zxid(50)), 4), "the last good members are as they were");
    // An older ensemble than the one that was seen, and later than the one that was last good.
    restart(&mut bench, seconds(1));
    bench.reset_at(present(&some[1..4]), 30);
    bench.pass(seconds(0));
    assert!(bench.holds()[0].contains("would be lost, and the ensemble shows an older state"), "{:?}", bench.holds());
}

#[derive(Debug, Clone)]
enum Op {
    Show(usize),
    Pass(u64),
    Restart(u64),
    Accept,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0usize..=18).prop_map(Op::Show),
        4 => (0u64..600).prop_map(Op::Pass),
        3 => (0u64..600).prop_map(Op::Restart),
        1 => Just(Op::Accept),
    ]
}

/// What a path was published with, and what was last seen of it.
#[derive(Default)]
struct Past {
    sizes: Vec<(Moment, usize)>,
    /// When there were last enough.
    enough: Option<Moment>,
}

impl Past {
    fn largest(&self, now: Moment) -> usize {
        let from = self.sizes.partition_point(|(from, _)| *from <= now - WINDOW).saturating_sub(1);
        self.sizes[from..].iter().map(|(_, size)| *size).max().unwrap_or_default()
    }

    fn publish(&mut self, now: Moment, size: usize, accepted: bool) {
        let doubted = self.largest(now) >= 4 && size * 2 < self.largest(now);
        let waited = self.enough.is_some_and(|enough| now.since(enough) >= HOLD_MAX);
        assert!(size >= 2, "below min");
        assert!(!doubted || accepted || waited, "{size} after {:?} at {now:?}", self.sizes);
        if doubted || accepted {
            self.sizes.clear();
        }
        self.sizes.push((now, size));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("ROSTERD_PROVE").is_some() { 20_000 } else { 300 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever is shown when, and however often the agent is killed: nothing is published below min, and a loss of more
    /// than half of the most in 15 minutes only when there were too few for `hold_max`, or when a person lets it through.
    #[test]
    fn no_loss_slips_through_between_steps_and_restarts(ops in proptest::collection::vec(op(), 1..40)) {
        let (mut bench, mut past) = (Bench::new(one()), Past::default());
        let mut shown = None;
        for op in ops {
            let mut accepted = false;
            match op {
                Op::Show(members) => {
                    shown = Some(members);
                    show(&mut bench, members);
                }
                Op::Restart(down) => {
                    restart(&mut bench, seconds(down));
                    shown = None;
                }
                Op::Accept => {
                    let keeps_back = bench.engine.rosters()["web"].shown();
                    accepted = !keeps_back.is_empty();
                    bench.input(Input::Accept("web".into(), keeps_back));
                }
                Op::Pass(time) => {
                    // To the second, so that what is let through by time is seen when it is.
                    for _ in 0..time {
                        bench.pass(seconds(1));
                        while !bench.publications.is_empty() {
                            let now = bench.now;
                            past.publish(now, names(&bench.publish(Outcome::Replaced), "web").len(), false);
                        }
                    }
                }
            }
            while !bench.publications.is_empty() {
                let now = bench.now;
                past.publish(now, names(&bench.publish(Outcome::Replaced), "web").len(), accepted);
            }
            let now = bench.now;
            if shown.is_some_and(|shown| shown >= 2 && shown * 2 >= past.largest(now)) {
                past.enough = Some(now);
            }
        }
    }
}
