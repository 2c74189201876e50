//! Any sequence of inputs: the invariants hold at every step, and the files converge to the members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{AboveMax, Bounds, Guard};
use crate::decide::{Effect, Failure, Input, Outcome, Publication, ReloadOutcome, RosterValue, SlottedMember, Stage};
use crate::model::registry_event::{Change, NodeContent, RegistryEvent, Seen, Update, View};
use crate::model::version::Versions;
use proptest::prelude::*;

use super::harness::{Bench, left, plan, roster, seconds, template, web};

const NAMES: [&str; 6] = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"];
const MIN: usize = 2;
const MAX: usize = 4;

#[derive(Debug, Clone)]
enum Op {
    Join(usize),
    Leave(usize),
    /// The data of a member becomes this.
    Change(usize, u8),
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
        3 => (0..NAMES.len(), 1u8..4).prop_map(|(which, data)| Op::Change(which, data)),
        1 => Just(Op::Resync),
        1 => Just(Op::Lose),
        3 => (0u64..3000).prop_map(Op::Pass),
        4 => (0usize..3, 0u8..4).prop_map(|(which, how)| Op::Answer(which, how)),
        2 => any::<bool>().prop_map(Op::Reloaded),
        1 => Just(Op::Configure),
    ]
}

/// The names and data of the members in a file.
fn shown<'a>(slotted: impl IntoIterator<Item = &'a SlottedMember>) -> Vec<String> {
    let data = |entry: &SlottedMember| entry.member.fields().data.get("n").map(ToString::to_string).unwrap_or_default();
    slotted.into_iter().map(|entry| format!("{} {}", entry.member.name(), data(entry))).collect()
}

fn content(publication: &Publication) -> Vec<String> {
    match &publication.snapshot.rosters["web"] {
        RosterValue::List(slotted) => shown(&**slotted),
        RosterValue::Map(_) => panic!("web is plain"),
    }
}

fn bytes(data: u8) -> Arc<[u8]> {
    format!("{{\"n\": {data}}}").into_bytes().into()
}

/// A simple model of what must hold.
struct World {
    bench: Bench,
    /// What the registry contains, whether the agent can see it or not.
    real: BTreeMap<&'static str, u8>,
    connected: bool,
    /// The last content of each destination, and whether a reload has started since.
    written: BTreeMap<String, Vec<String>>,
    owed: BTreeSet<String>,
    reloading: Option<BTreeSet<String>>,
    /// What was admitted when the registry became unreachable. Nothing else may be published until it is back.
    admitted: Vec<String>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            bench: Bench::new(Self::plan()),
            real: BTreeMap::new(),
            connected: false,
            written: BTreeMap::new(),
            owed: BTreeSet::new(),
            reloading: None,
            admitted: Vec::new(),
        };
        world.resync();
        world
    }

    fn plan() -> crate::decide::Plan {
        let mut config = roster("web", web());
        config.bounds = Bounds::new(MIN, Some(MAX), AboveMax::Cut).unwrap();
        config.guard = Guard { max_shrink_percent: 100, ..Guard::DEFAULT };
        let templates = ["x", "y", "z"].map(|name| template(name, &["web"], "reload"));
        plan(vec![config], vec![], templates.to_vec())
    }

    fn resync(&mut self) {
        self.connected = true;
        let members =
            self.real.iter().map(|(name, data)| (Arc::from(*name), Ok(NodeContent::ephemeral(bytes(*data))))).collect();
        let view = View::Members(Seen::Present(members));
        self.input(Input::Registry(RegistryEvent {
            registry: "default".into(),
            update: Update::Reset { subject: web(), view, versions: Versions::new() },
        }));
    }

    /// Checks each effect.
    fn input(&mut self, input: Input) {
        let effects = self.bench.engine.step(self.bench.now, input);
        for effect in effects {
            match effect {
                Effect::Publish(group) => group.publications.into_iter().for_each(|publication| {
                    let seen = content(&publication);
                    assert!((MIN..=MAX).contains(&seen.len()), "out of bounds: {seen:?}");
                    let twice = self.bench.publications.iter().any(|open| open.template == publication.template);
                    assert!(!twice, "two publications of {} at once", publication.template.name);
                    assert!(self.connected || seen == self.admitted, "published from a stale view: {seen:?}");
                    self.bench.publications.push(publication);
                }),
                Effect::Reload(job) => {
                    assert!(self.reloading.is_none(), "two reloads at once");
                    let named: BTreeSet<String> = job.templates.iter().map(|config| config.name.to_string()).collect();
                    assert_eq!(named, self.owed, "a reload is for exactly the files with a pending one");
                    self.owed.clear();
                    self.reloading = Some(named);
                    self.bench.reloads.push(job);
                }
                Effect::Probe(..) => panic!("no check has refused anything"),
                Effect::Restore(_) | Effect::Save(..) | Effect::SavePins(_) | Effect::Emit(_) => {}
            }
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Join(which) => {
                self.real.insert(NAMES[which], 0);
                self.put(which);
            }
            Op::Change(which, data) => {
                if let Some(known) = self.real.get_mut(NAMES[which]) {
                    *known = data;
                    self.put(which);
                }
            }
            Op::Leave(which) => {
                self.real.remove(NAMES[which]);
                self.changed(vec![left(NAMES[which])]);
            }
            Op::Resync => self.resync(),
            Op::Lose => {
                self.connected = false;
                self.admitted = match self.bench.engine.rosters()["web"].value() {
                    Some(RosterValue::List(slotted)) => shown(&**slotted),
                    _ => Vec::new(),
                };
                self.input(Input::Registry(RegistryEvent {
                    registry: "default".into(),
                    update: Update::Unreachable("gone".to_owned().into()),
                }));
            }
            Op::Pass(ms) => self.pass(Duration::from_millis(ms)),
            Op::Answer(which, how) => self.answer(which, how),
            Op::Reloaded(well) => self.reloaded(well),
            Op::Configure => self.input(Input::Configured(Self::plan())),
        }
    }

    fn put(&mut self, which: usize) {
        let (name, reading) = (Arc::from(NAMES[which]), Ok(NodeContent::ephemeral(bytes(self.real[NAMES[which]]))));
        self.changed(vec![Change::Put { key: None, name, reading }]);
    }

    fn changed(&mut self, changes: Vec<Change>) {
        if self.connected {
            self.input(Input::Registry(RegistryEvent {
                registry: "default".into(),
                update: Update::Changed { subject: web(), changes, versions: Versions::new() },
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
        panic!("the engine asks to be woken endlessly");
    }

    fn answer(&mut self, which: usize, how: u8) {
        if which >= self.bench.publications.len() {
            return;
        }
        let publication = self.bench.publications.remove(which);
        let (name, seen) = (publication.template.name.to_string(), content(&publication));
        let same = self.written.get(&name) == Some(&seen);
        let outcome = match how {
            0 => Outcome::Failed(Failure::new(Stage::Check, String::new())),
            1 => Outcome::Failed(Failure::new(Stage::Write, String::new())),
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
            ReloadOutcome::Succeeded
        } else {
            self.owed.extend(running);
            ReloadOutcome::Failed("no".into())
        };
        self.input(Input::Reloaded(job.reload, ran));
    }

    /// The faults end, every request is answered successfully, and time passes.
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
    #![proptest_config(crate::support::random::config(3_000, 200_000))]

    #[test]
    fn any_interleaving_keeps_the_invariants_and_converges(ops in proptest::collection::vec(op(), 1..60)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        let before: Vec<Vec<String>> = world.written.values().cloned().collect();
        world.calm();
        prop_assert!(world.owed.is_empty() && world.reloading.is_none(), "a pending reload was lost");
        if world.real.len() >= MIN {
            let real = world.real.iter().map(|(name, data)| format!("{name} {data}"));
            let expected: Vec<String> = real.take(MAX).collect();
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
}
