//! Members that stay keep their slots through an hour of changes and restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::{AboveMax, Bounds, Guard, Pick};
use crate::decide::{Effect, Input, Moment, Outcome, Plan, RunMode, SavedState};
use crate::model::registry_event::{Change, RegistryEvent, Update};
use crate::model::version::Versions;
use proptest::prelude::*;

use super::harness::{Bench, left, plan, present, put, roster, save, seconds, slots, template, web};

const NAMES: [&str; 12] = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1", "i:1", "j:1", "k:1", "l:1"];

#[derive(Debug, Clone)]
enum Op {
    Join(usize),
    Leave(usize),
    /// Everything is read again.
    Resync,
    /// The registry becomes unreachable.
    Lose,
    /// The configuration is reloaded.
    Configure,
    /// The agent is killed, and another one starts.
    Kill,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        30 => (0..NAMES.len()).prop_map(Op::Join),
        20 => (0..NAMES.len()).prop_map(Op::Leave),
        6 => Just(Op::Resync),
        2 => Just(Op::Lose),
        1 => Just(Op::Configure),
        2 => Just(Op::Kill),
    ]
}

/// The operations of an hour, each with its delay after the previous one.
fn hour() -> impl Strategy<Value = Vec<(Op, Duration)>> {
    let wait = prop_oneof![3 => 0u64..500, 3 => 500u64..5_000, 1 => 5_000u64..30_000].prop_map(Duration::from_millis);
    prop::collection::vec((op(), wait), 600..800)
}

struct World {
    bench: Bench,
    plan: Plan,
    real: BTreeSet<&'static str>,
    connected: bool,
    /// The slots in the last file.
    seen: BTreeMap<String, u32>,
    /// The number of files, and the sum over all files of the members that stayed from the previous one.
    files: usize,
    stayed: usize,
}

impl World {
    fn new(max: Option<usize>, pick: Pick, guard: Guard) -> Self {
        let mut config = roster("web", web());
        config.bounds = Bounds::new(1, max, AboveMax::Cut).unwrap();
        (config.pick, config.guard) = (pick, guard);
        let plan = plan(vec![config], vec![], vec![template("a", &["web"], "")]);
        let bench = Bench::in_mode(RunMode::Continuous, plan.clone(), SavedState::new());
        let seen = BTreeMap::new();
        Self { bench, plan, real: BTreeSet::new(), connected: false, seen, files: 0, stayed: 0 }
    }

    /// Each publication becomes the file at once, and is checked.
    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.bench.engine.step(self.bench.now, input) {
                match effect {
                    Effect::Save(memo) => save(&mut self.bench.saved, memo),
                    Effect::Publish(group) => group.publications.iter().for_each(|publication| {
                        self.look(&slots(publication, "web"));
                        inputs.push(Input::Published(publication.id, Outcome::Replaced));
                    }),
                    Effect::Probe(_)
                    | Effect::Reload(_)
                    | Effect::Restore(_)
                    | Effect::SavePins(_)
                    | Effect::Emit(_) => {}
                }
            }
        }
    }

    fn look(&mut self, file: &[(&str, u32)]) {
        let now: BTreeMap<String, u32> = file.iter().map(|(name, slot)| ((*name).to_owned(), *slot)).collect();
        let distinct: BTreeSet<u32> = now.values().copied().collect();
        assert_eq!(distinct.len(), now.len(), "one slot for two members: {now:?}");
        for (name, slot) in &now {
            if let Some(before) = self.seen.get(name) {
                assert_eq!(before, slot, "{name} stayed, at {:?}: {:?}, then {now:?}", self.bench.now, self.seen);
                self.stayed += 1;
            }
        }
        (self.seen, self.files) = (now, self.files + 1);
    }

    fn registry_update(&mut self, update: Update) {
        self.input(Input::Registry(RegistryEvent { registry: "default".into(), update }));
    }

    fn resync(&mut self) {
        self.connected = true;
        let names: Vec<&str> = self.real.iter().copied().collect();
        self.registry_update(Update::Reset { subject: web(), view: present(&names), versions: Versions::new() });
    }

    fn changed(&mut self, change: Change) {
        if self.connected {
            self.registry_update(Update::Changed { subject: web(), changes: vec![change], versions: Versions::new() });
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Join(which) => {
                self.real.insert(NAMES[which]);
                self.changed(put(NAMES[which]));
            }
            Op::Leave(which) => {
                self.real.remove(NAMES[which]);
                self.changed(left(NAMES[which]));
            }
            Op::Resync => self.resync(),
            Op::Lose => {
                self.connected = false;
                self.registry_update(Update::Unreachable("gone".to_owned().into()));
            }
            Op::Configure => self.input(Input::Configured(self.plan.clone())),
            Op::Kill => {
                let now = self.bench.now;
                let empty = plan(vec![], vec![], vec![]);
                self.bench = Bench::with_saved(empty, self.bench.saved.clone());
                (self.bench.now, self.connected) = (now, false);
                self.input(Input::Configured(self.plan.clone()));
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.bench.now + time;
        while let Some(wake) = self.bench.engine.next_wake().filter(|wake| *wake <= end) {
            self.bench.now = self.bench.now.max(wake);
            self.input(Input::Tick);
        }
        self.bench.now = end;
    }
}

proptest! {
    #![proptest_config(crate::support::random::config(30, 5_000))]

    #[test]
    fn members_that_stay_keep_their_slots_for_an_hour(
        hour in hour(),
        max in prop::option::of(3usize..8),
        pick in prop::sample::select(vec![Pick::First, Pick::Spread]),
        max_shrink_percent in prop::sample::select(vec![50, 100]),
    ) {
        let mut world = World::new(max, pick, Guard { max_shrink_percent, ..Guard::DEFAULT });
        world.resync();
        let end = world.bench.now + seconds(60 * 60);
        for (op, wait) in &hour {
            world.apply(op);
            world.pass(*wait);
        }
        world.resync();
        let rest = end.max(world.bench.now).since(world.bench.now);
        world.pass(rest);
        prop_assert!(world.bench.now >= end && world.bench.now > Moment::START);
        // The hour contained enough changes.
        prop_assert!(world.files > 50 && world.stayed > 100, "{} files, {} stayed", world.files, world.stayed);
    }
}
