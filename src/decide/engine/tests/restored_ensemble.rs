//! Ensembles that are restored from a backup or replaced, while agents are killed.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::{AboveMax, Bounds};
use crate::decide::{Effect, Engine, Input, Moment, Outcome, Plan, RunMode, SavedState};
use crate::model::registry_event::{Change, RegistryEvent, Update};
use proptest::prelude::*;

use super::harness::{left, names, plan, present, put, roster, save, seconds, template, versions, web};

const NAMES: [&str; 6] = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"];
const MIN: usize = 2;

#[derive(Debug, Clone)]
enum Op {
    Join(usize),
    Leave(usize),
    /// This many transactions are undone.
    Restore(usize),
    /// Another ensemble answers, with these members and this zxid.
    Replace(u8, i64),
    Away,
    Resync,
    Pass(u64),
    /// The agent is killed, and restarted this many seconds later.
    Kill(u64),
    Accept,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..NAMES.len()).prop_map(Op::Join),
        3 => (0..NAMES.len()).prop_map(Op::Leave),
        2 => (1usize..6).prop_map(Op::Restore),
        1 => (any::<u8>(), 0i64..40).prop_map(|(members, zxid)| Op::Replace(members, zxid)),
        1 => Just(Op::Away),
        3 => Just(Op::Resync),
        4 => (0u64..3000).prop_map(Op::Pass),
        2 => prop_oneof![Just(1), Just(2000)].prop_map(Op::Kill),
        1 => Just(Op::Accept),
    ]
}

/// The members published last, and the zxid of their view.
type Published = (BTreeSet<String>, i64);

struct World {
    engine: Engine,
    now: Moment,
    saved: SavedState,
    /// Every state to which the ensemble can be restored. The last one is current.
    history: Vec<(i64, BTreeSet<&'static str>)>,
    /// The zxid of the view that the agent received last, while it is connected.
    told: Option<i64>,
    /// The highest zxid of any view.
    latest: i64,
    published: Option<Published>,
}

fn one_roster() -> Plan {
    let mut config = roster("web", web());
    config.bounds = Bounds::new(MIN, None, AboveMax::Cut).unwrap();
    plan(vec![config], vec![], vec![template("a", &["web"], "")])
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            engine: Engine::new(RunMode::Continuous, "host1", SavedState::new()),
            now: Moment::START,
            saved: SavedState::new(),
            history: vec![(10, BTreeSet::new())],
            told: None,
            latest: 0,
            published: None,
        };
        world.input(Input::Configured(one_roster()));
        world
    }

    /// Checks and applies each effect.
    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.engine.step(self.now, input) {
                match effect {
                    Effect::Save(memo) => save(&mut self.saved, memo),
                    Effect::Publish(group) => {
                        for publication in group.publications {
                            self.check(names(&publication, "web").into_iter().collect());
                            inputs.push(Input::Published(publication.id, Outcome::Replaced));
                        }
                    }
                    Effect::Probe(_)
                    | Effect::Reload(_)
                    | Effect::Restore(_)
                    | Effect::SavePins(_)
                    | Effect::Emit(_) => {}
                }
            }
        }
    }

    fn check(&mut self, seen: BTreeSet<String>) {
        assert!(seen.len() >= MIN, "below min: {seen:?}");
        let kept: BTreeSet<String> = self.saved["web"].paths[""].members.keys().map(ToString::to_string).collect();
        assert_eq!(kept, seen, "published before it was saved");
        let late = self.told.or(self.published.as_ref().map(|(_, late)| *late)).unwrap();
        if let Some((before, highest)) = &self.published {
            assert!(self.told.is_some() || *before == seen, "published without a view");
            let smaller = !before.is_subset(&seen);
            assert!(!smaller || late >= *highest, "{seen:?} at {late} after {before:?} at {highest}");
            if *before == seen {
                // Publishing the last known-good members again does not change their zxid.
                return;
            }
        }
        self.published = Some((seen, late));
    }

    fn registry_update(&mut self, update: Update) {
        self.input(Input::Registry(RegistryEvent { registry: "default".into(), update }));
    }

    fn tell(&mut self, zxid: i64) {
        self.told = Some(zxid);
        self.latest = self.latest.max(zxid);
        // An older state without a loss is adopted once it has settled.
        let shown = &self.history.last().unwrap().1;
        if let Some((seen, highest)) = &mut self.published
            && seen.iter().all(|name| shown.contains(&**name))
        {
            *highest = (*highest).min(zxid);
        }
    }

    fn resync(&mut self) {
        let (zxid, members) = self.history.last().unwrap().clone();
        self.tell(zxid);
        let names: Vec<&str> = members.into_iter().collect();
        self.registry_update(Update::Reset {
            subject: web(),
            view: present(&names),
            versions: versions(&[("", zxid)]),
        });
    }

    fn changed(&mut self, change: Change, how: impl FnOnce(&mut BTreeSet<&'static str>) -> bool) {
        let (zxid, mut members) = self.history.last().unwrap().clone();
        if !how(&mut members) {
            return;
        }
        self.history.push((zxid + 1, members));
        if self.told.is_some() {
            self.tell(zxid + 1);
            self.registry_update(Update::Changed {
                subject: web(),
                changes: vec![change],
                versions: versions(&[("", zxid + 1)]),
            });
        }
    }

    fn away(&mut self) {
        self.told = None;
        self.registry_update(Update::Unreachable("gone".to_owned().into()));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..10_000 {
            let Some(wake) = self.engine.next_wake().filter(|wake| *wake <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(wake);
            self.input(Input::Tick);
        }
        panic!("the engine asks to be woken endlessly");
    }

    fn accept(&mut self) {
        if !self.engine.accept(self.now, "web").is_empty() {
            // An accepted view may be older and smaller.
            self.published = self.published.take().map(|(seen, _)| (seen, i64::MIN));
            self.input(Input::Tick);
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Join(which) => self.changed(put(NAMES[which]), |members| members.insert(NAMES[which])),
            Op::Leave(which) => self.changed(left(NAMES[which]), |members| members.remove(NAMES[which])),
            Op::Restore(forgotten) => {
                // Its servers were stopped for that.
                self.away();
                self.history.truncate(self.history.len().saturating_sub(forgotten).max(1));
            }
            Op::Replace(members, zxid) => {
                self.away();
                let members = NAMES.iter().enumerate().filter(|(bit, _)| members & (1 << bit) != 0);
                self.history = vec![(zxid, members.map(|(_, name)| *name).collect())];
            }
            Op::Away => self.away(),
            Op::Resync => self.resync(),
            Op::Pass(ms) => self.pass(Duration::from_millis(ms)),
            Op::Kill(secs) => {
                for recalled in self.saved.values_mut() {
                    recalled.age = Some(seconds(secs));
                }
                self.engine = Engine::new(RunMode::Continuous, "host1", self.saved.clone());
                (self.now, self.told) = (Moment::START, None);
                self.input(Input::Configured(one_roster()));
            }
            Op::Accept => self.accept(),
        }
    }
}

proptest! {
    #![proptest_config(crate::support::random::config(500, 50_000))]

    #[test]
    fn no_older_smaller_view_is_published_and_restarts_converge(
        ops in proptest::collection::vec(op(), 1..60)
    ) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        world.resync();
        world.pass(seconds(20 * 60));
        let (zxid, real) = world.history.last().unwrap().clone();
        let real: BTreeSet<String> = real.into_iter().map(str::to_owned).collect();
        let before = world.published.clone();
        if let Some((before, _)) = before.filter(|(seen, _)| *seen != real && real.len() >= MIN) {
            let older = zxid < world.latest && !before.is_subset(&real);
            prop_assert!(older, "{:?} is not {:?} for no reason", before, real);
        }
        world.accept();
        world.pass(seconds(1));
        match &world.published {
            Some((seen, _)) if real.len() >= MIN => prop_assert_eq!(seen, &real),
            None => prop_assert!(real.len() < MIN),
            Some(_) => {}
        }
    }
}
