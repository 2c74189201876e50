//! An engine under test, with its clock and the effects that it requested.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Command, KeyConfig, Reload, RosterConfig, TemplateConfig};
use crate::decide::in_flight::PublicationId;
use crate::decide::report::RosterReport;
use crate::decide::{
    Effect, Engine, Event, Failure, Input, Moment, Needs, Outcome, Pins, Plan, Planned, Publication, ReloadJob,
    ReloadOutcome, Restoration, RosterValue, RunMode, SavedRoster, SavedState, SavedUpdate, Stage, TemplatePlan,
};
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Change, Members, NodeContent, RegistryEvent, Seen, Update, View};
use crate::model::version::{Versions, Zxid};

/// An engine under test. Publications and reloads stay open until the test answers them.
pub struct Bench {
    pub engine: Engine,
    pub now: Moment,
    pub publications: Vec<Publication>,
    pub probes: Vec<Publication>,
    /// The publications that were requested together, and their unit.
    pub groups: Vec<(Option<Arc<str>>, Vec<PublicationId>)>,
    pub reloads: Vec<ReloadJob>,
    pub restorations: Vec<Restoration>,
    pub events: Vec<Event>,
    /// The pins that were saved last.
    pub pins: Pins,
    /// Everything that is saved, including the state from before the start.
    pub saved: SavedState,
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn path(text: &str) -> NodePath {
    NodePath::parse(text).unwrap()
}

pub fn web() -> Subject {
    Subject::Members(path("/services/web"))
}

pub fn roster(name: &str, subject: Subject) -> RosterConfig {
    RosterConfig::new(name, "default", subject)
}

/// A template that names `needs`, reloaded by the command `reload` if that is not empty.
pub fn template(name: &str, needs: &[&str], reload: &str) -> TemplatePlan {
    let mut config = TemplateConfig::new(name, format!("{name}.tera"), format!("/etc/{name}"));
    config.reload = (!reload.is_empty()).then(|| Reload::Command(Command::Shell(reload.into())));
    let names: BTreeSet<Arc<str>> = needs.iter().map(|name| Arc::from(*name)).collect();
    TemplatePlan { config: Arc::new(config), needs: Needs { names, ..Needs::default() } }
}

pub fn plan(rosters: Vec<RosterConfig>, keys: Vec<KeyConfig>, templates: Vec<TemplatePlan>) -> Plan {
    let origin: Arc<str> = Arc::from("zk://a");
    Plan {
        rosters: rosters
            .into_iter()
            .map(|config| Planned { config: Arc::new(config), origin: Arc::clone(&origin) })
            .collect(),
        keys: keys
            .into_iter()
            .map(|config| Planned { config: Arc::new(config), origin: Arc::clone(&origin) })
            .collect(),
        templates,
    }
}

pub fn members(names: &[&str]) -> Members {
    names.iter().map(|name| (Arc::from(*name), Ok(NodeContent::ephemeral(&b""[..])))).collect()
}

pub fn present(names: &[&str]) -> View {
    View::Members(Seen::Present(members(names)))
}

pub fn put(name: &str) -> Change {
    Change::Put { key: None, name: Arc::from(name), reading: Ok(NodeContent::ephemeral(&b""[..])) }
}

pub fn left(name: &str) -> Change {
    Change::Removed { key: None, name: Arc::from(name) }
}

pub fn versions(all: &[(&str, i64)]) -> Versions {
    all.iter().map(|(key, zxid)| (Arc::from(*key), Zxid(*zxid))).collect()
}

/// Applies an update to the saved state, as the files would. An update counts as confirmed when it is written.
pub fn save(all: &mut SavedState, memo: SavedUpdate) {
    let saved = all.entry(Arc::clone(&memo.name)).or_insert_with(|| SavedRoster::none(memo.origin.clone()));
    saved.take(memo);
    saved.age = Some(Duration::ZERO);
}

/// The names of the members of a plain roster in a publication.
pub fn names(publication: &Publication, roster: &str) -> Vec<String> {
    match &publication.snapshot.rosters[roster] {
        RosterValue::List(slotted) => slotted.iter().map(|entry| entry.member.name().to_owned()).collect(),
        RosterValue::Map(_) => panic!("{roster} is keyed"),
    }
}

/// The names of the members of a keyed roster in a publication, by key.
pub fn names_by_key(publication: &Publication, roster: &str) -> BTreeMap<String, Vec<String>> {
    match &publication.snapshot.rosters[roster] {
        RosterValue::List(_) => panic!("{roster} is plain"),
        RosterValue::Map(map) => map
            .iter()
            .map(|(key, slotted)| {
                (key.to_string(), slotted.iter().map(|entry| entry.member.name().to_owned()).collect())
            })
            .collect(),
    }
}

/// The names and slots of the members of a plain roster in a publication.
pub fn slots<'a>(publication: &'a Publication, roster: &str) -> Vec<(&'a str, u32)> {
    match &publication.snapshot.rosters[roster] {
        RosterValue::List(slotted) => slotted.iter().map(|entry| (entry.member.name(), entry.slot)).collect(),
        RosterValue::Map(_) => panic!("{roster} is keyed"),
    }
}

impl Bench {
    pub fn new(plan: Plan) -> Self {
        Self::with_saved(plan, SavedState::new())
    }

    /// An engine that starts with saved state.
    pub fn with_saved(plan: Plan, saved: SavedState) -> Self {
        Self::in_mode(RunMode::Continuous, plan, saved)
    }

    /// An engine for a single pass or for a continuous run.
    pub fn in_mode(mode: RunMode, plan: Plan, saved: SavedState) -> Self {
        Self::owing(mode, plan, saved, Vec::new())
    }

    /// The same, with reloads that are pending from an earlier run.
    pub fn owing(mode: RunMode, plan: Plan, saved: SavedState, owed: Vec<TemplateConfig>) -> Self {
        let mut bench = Self {
            engine: Engine::new(mode, "host1", saved.clone()),
            now: Moment::START + seconds(100),
            publications: Vec::new(),
            probes: Vec::new(),
            groups: Vec::new(),
            reloads: Vec::new(),
            restorations: Vec::new(),
            events: Vec::new(),
            pins: Pins::new(),
            saved,
        };
        bench.input(Input::PendingReloads(owed.into_iter().map(Arc::new).collect()));
        assert!(bench.is_idle(), "nothing is done without a configuration");
        bench.input(Input::Configured(plan));
        bench
    }

    pub fn input(&mut self, input: Input) {
        for effect in self.engine.step(self.now, input) {
            match effect {
                Effect::Publish(group) => {
                    self.groups.push((group.unit.clone(), group.publications.iter().map(|it| it.id).collect()));
                    self.publications.extend(group.publications);
                }
                Effect::Probe(publication) => self.probes.push(publication),
                Effect::Reload(job) => self.reloads.push(job),
                Effect::Restore(job) => self.restorations.push(job),
                Effect::Save(memo) => save(&mut self.saved, memo),
                Effect::SavePins(pins) => self.pins = pins,
                Effect::Emit(event) => self.events.push(event),
            }
        }
    }

    pub fn registry_update(&mut self, update: Update) {
        self.input(Input::Registry(RegistryEvent { registry: Arc::from("default"), update }));
    }

    pub fn reset(&mut self, subject: &Subject, view: View) {
        self.registry_update(Update::Reset { subject: subject.clone(), view, versions: Versions::new() });
    }

    /// A reset of `web` with this zxid.
    pub fn reset_at(&mut self, view: View, zxid: i64) {
        self.registry_update(Update::Reset { subject: web(), view, versions: versions(&[("", zxid)]) });
    }

    /// Changes of `web` with this zxid.
    pub fn change_at(&mut self, changes: Vec<Change>, zxid: i64) {
        self.registry_update(Update::Changed { subject: web(), changes, versions: versions(&[("", zxid)]) });
    }

    pub fn change(&mut self, changes: Vec<Change>) {
        self.registry_update(Update::Changed { subject: web(), changes, versions: Versions::new() });
    }

    pub fn away(&mut self) {
        self.registry_update(Update::Unreachable("zk://a is not reached".to_owned().into()));
    }

    /// Advances the time, and wakes the engine whenever it asked for that.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..10_000 {
            match self.engine.next_wake() {
                Some(wake) if wake <= end => {
                    self.now = self.now.max(wake);
                    self.input(Input::Tick);
                }
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("the engine asks to be woken endlessly at {:?}", self.now);
    }

    /// Answers the oldest open publication, and returns it.
    pub fn publish(&mut self, outcome: Outcome) -> Publication {
        assert!(!self.publications.is_empty(), "a publication is expected");
        let publication = self.publications.remove(0);
        self.input(Input::Published(publication.id, outcome));
        publication
    }

    /// Fails to render in every probe: no member is at fault.
    pub fn fail_probes(&mut self) {
        while !self.probes.is_empty() {
            let (probe, message) = (self.probes.remove(0), "no".to_owned());
            self.input(Input::Probed(probe.id, Outcome::Failed(Failure::new(Stage::Render, message))));
        }
    }

    /// Answers the oldest open reload, and returns it.
    pub fn reload(&mut self, ran: ReloadOutcome) -> ReloadJob {
        assert!(!self.reloads.is_empty(), "a reload is expected");
        let job = self.reloads.remove(0);
        self.input(Input::Reloaded(job.reload.clone(), ran));
        job
    }

    pub fn is_idle(&self) -> bool {
        self.publications.is_empty() && self.probes.is_empty() && self.reloads.is_empty()
    }

    /// What the engine reports of a roster.
    pub fn roster(&self, name: &str) -> RosterReport {
        self.engine.report(self.now).rosters.remove(name).unwrap()
    }

    pub fn holds(&self) -> Vec<String> {
        let holding = self.events.iter().filter_map(|event| match event {
            Event::RosterHeld { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        holding.collect()
    }
}
