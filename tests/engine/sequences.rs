//! Any interleaving of what can happen: the invariants hold at every step, and the end is the last membership.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use rosterd::config::{AboveMax, Bounds, Guard};
use rosterd::decide::{Effect, Failure, Input, Outcome, Ran, RosterValue, Stage};
use rosterd::sighting::{News, Sighting, Stamps};

use crate::harness::{Bench, left, members, names, plan, present, put, roster, seconds, template, web};

const NAMES: [&str; 6] = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"];
const MIN: usize = 2;
const MAX: usize = 4;

#[derive(Debug, Clone)]
enum Op {
    Join(usize),
    Leave(usize),
    Resync,
    Lose,
    Pass(u64),
    Answer(usize, u8),
    Reloaded(bool),
    Configure,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..NAMES.len()).prop_map(Op::Join),
        4 => (0..NAMES.len()).prop_map(Op::Leave),
        1 => Just(Op::Resync),
        1 => Just(Op::Lose),
        3 => (0u64..3000).prop_map(Op::Pass),
        4 => (0usize..3, 0u8..4).prop_map(|(which, how)| Op::Answer(which, how)),
        2 => any::<bool>().prop_map(Op::Reloaded),
        1 => Just(Op::Configure),
    ]
}

/// A naive account of what must hold.
struct World {
    bench: Bench,
    /// What the registry really has, whether the agent can see it or not.
    real: BTreeSet<&'static str>,
    connected: bool,
    /// The last content that each destination was replaced with, and whether a reload has begun since.
    written: BTreeMap<String, Vec<String>>,
    owed: BTreeSet<String>,
    reloading: Option<BTreeSet<String>>,
    /// What had been admitted when the registry went away: nothing else may be published until it is back.
    admitted: Vec<String>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            bench: Bench::new(Self::plan()),
            real: BTreeSet::new(),
            connected: false,
            written: BTreeMap::new(),
            owed: BTreeSet::new(),
            reloading: None,
            admitted: Vec::new(),
        };
        world.resync();
        world
    }

    fn plan() -> rosterd::decide::Plan {
        let mut config = roster("web", web());
        config.bounds = Bounds::new(MIN, Some(MAX), AboveMax::Cut).unwrap();
        config.guard = Guard { max_shrink_percent: 100, ..Guard::DEFAULT };
        let templates = ["x", "y", "z"].map(|name| template(name, &["web"], "reload"));
        plan(vec![config], vec![], templates.to_vec())
    }

    fn resync(&mut self) {
        self.connected = true;
        let view: Vec<&str> = self.real.iter().copied().collect();
        self.input(Input::Saw(Sighting {
            registry: "default".into(),
            news: News::Reset { subject: web(), view: present(&view), stamps: Stamps::new() },
        }));
    }

    /// Every effect is checked as it comes.
    fn input(&mut self, input: Input) {
        let effects = self.bench.engine.step(self.bench.now, input);
        for effect in effects {
            match effect {
                Effect::Publish(publication) => {
                    let seen = names(&publication, "web");
                    assert!((MIN..=MAX).contains(&seen.len()), "out of bounds: {seen:?}");
                    let twice = self.bench.publications.iter().any(|open| open.template == publication.template);
                    assert!(!twice, "two publications of {} at once", publication.template.name);
                    assert!(self.connected || seen == self.admitted, "published from a stale view: {seen:?}");
                    self.bench.publications.push(publication);
                }
                Effect::Reload(job) => {
                    assert!(self.reloading.is_none(), "two reloads at once");
                    let named: BTreeSet<String> = job.templates.iter().map(|config| config.name.to_string()).collect();
                    assert_eq!(named, self.owed, "a reload is for exactly those that owe it");
                    self.owed.clear();
                    self.reloading = Some(named);
                    self.bench.reloads.push(job);
                }
                Effect::Remember(..) | Effect::Say(_) => {}
            }
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Join(which) => {
                self.real.insert(NAMES[which]);
                self.changed(vec![put(NAMES[which])]);
            }
            Op::Leave(which) => {
                self.real.remove(NAMES[which]);
                self.changed(vec![left(NAMES[which])]);
            }
            Op::Resync => self.resync(),
            Op::Lose => {
                self.connected = false;
                self.admitted = match self.bench.engine.rosters()["web"].value() {
                    Some(RosterValue::List(seats)) => seats.iter().map(|seat| seat.member.name().to_owned()).collect(),
                    _ => Vec::new(),
                };
                self.input(Input::Saw(Sighting {
                    registry: "default".into(),
                    news: News::Away { why: "gone".into() },
                }));
            }
            Op::Pass(ms) => self.pass(Duration::from_millis(ms)),
            Op::Answer(which, how) => self.answer(which, how),
            Op::Reloaded(well) => self.reloaded(well),
            Op::Configure => self.input(Input::Configured(Self::plan())),
        }
    }

    fn changed(&mut self, changes: Vec<rosterd::sighting::Change>) {
        if self.connected {
            self.input(Input::Saw(Sighting {
                registry: "default".into(),
                news: News::Update { subject: web(), changes, stamps: Stamps::new() },
            }));
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.bench.now + time;
        for _ in 0..10_000 {
            let Some(wake) = self.bench.engine.next_wake().filter(|wake| *wake <= end) else {
                self.bench.now = end;
                return;
            };
            self.bench.now = self.bench.now.max(wake);
            self.input(Input::Tick);
        }
        panic!("woken without end");
    }

    fn answer(&mut self, which: usize, how: u8) {
        if which >= self.bench.publications.len() {
            return;
        }
        let publication = self.bench.publications.remove(which);
        let (name, seen) = (publication.template.name.to_string(), names(&publication, "web"));
        let same = self.written.get(&name) == Some(&seen);
        let outcome = match how {
            0 => Outcome::Failed(Failure { stage: Stage::Check, message: String::new() }),
            1 => Outcome::Failed(Failure { stage: Stage::Write, message: String::new() }),
            _ if same => Outcome::Unchanged,
            _ => Outcome::Replaced,
        };
        if outcome == Outcome::Replaced {
            self.written.insert(name.clone(), seen);
            self.owed.insert(name);
        }
        self.input(Input::Published(publication.id, outcome));
    }

    fn reloaded(&mut self, well: bool) {
        let Some(job) = self.bench.reloads.pop() else {
            return;
        };
        let running = self.reloading.take().unwrap();
        let ran = if well {
            Ran::Done
        } else {
            self.owed.extend(running);
            Ran::Failed("no".into())
        };
        self.input(Input::Reloaded(job.reload, ran));
    }

    /// The faults end, everything is answered well, and time passes.
    fn calm(&mut self) {
        self.resync();
        for _ in 0..20 {
            while !self.bench.publications.is_empty() {
                self.answer(0, 2);
            }
            while !self.bench.reloads.is_empty() {
                self.reloaded(true);
            }
            self.pass(seconds(70));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("ROSTERD_PROVE").is_some() { 200_000 } else { 3_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_interleaving_converges_and_never_breaks_a_rule(ops in proptest::collection::vec(op(), 1..60)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        let before: Vec<Vec<String>> = world.written.values().cloned().collect();
        world.calm();
        prop_assert!(world.owed.is_empty() && world.reloading.is_none(), "an owed reload was lost");
        if world.real.len() >= MIN {
            let expected: Vec<String> = world.real.iter().take(MAX).map(|name| (*name).to_owned()).collect();
            prop_assert_eq!(world.written.len(), 3);
            for written in world.written.values() {
                prop_assert_eq!(written, &expected);
            }
        } else {
            for written in world.written.values() {
                prop_assert!(written.len() >= MIN, "{:?} was {:?}", written, before);
            }
        }
    }

    #[test]
    fn slots_are_kept_and_never_shared(ops in proptest::collection::vec(op(), 1..60)) {
        let mut config = roster("web", web());
        config.bounds = Bounds::new(0, None, AboveMax::Cut).unwrap();
        config.guard = Guard { max_shrink_percent: 100, ..Guard::DEFAULT };
        let mut bench = Bench::new(plan(vec![config], vec![], vec![template("a", &["web"], "")]));
        bench.reset(&web(), rosterd::sighting::View::Members(rosterd::sighting::Seen::Present(members(&[]))));
        let mut kept: BTreeMap<String, u32> = BTreeMap::new();
        for op in &ops {
            match *op {
                Op::Join(which) => bench.change(vec![put(NAMES[which])]),
                Op::Leave(which) => bench.change(vec![left(NAMES[which])]),
                _ => bench.pass(seconds(1)),
            }
            while !bench.publications.is_empty() {
                let publication = bench.publish(Outcome::Unchanged);
                let rosterd::decide::RosterValue::List(seats) = &publication.snapshot.rosters["web"] else {
                    panic!("web is plain");
                };
                let now: BTreeMap<String, u32> =
                    seats.iter().map(|seated| (seated.member.name().to_owned(), seated.slot)).collect();
                let distinct: BTreeSet<u32> = now.values().copied().collect();
                prop_assert_eq!(distinct.len(), now.len());
                for (name, slot) in &now {
                    prop_assert!(kept.get(name).is_none_or(|before| before == slot), "{} moved", name);
                }
                kept = now;
            }
        }
    }
}
