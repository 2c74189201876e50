//! State, input and time in; effects out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::debt::{Debt, Terms};
use super::flight::{FlightId, Flights};
use super::key::Key;
use super::moment::Moment;
use super::notice::Notice;
use super::plan::{Followed, Plan};
use super::publication::{Outcome, Publication, Ran, ReloadJob};
use super::roster::Roster;
use super::sights::{Place, Sights};
use super::template::Template;
use crate::config::{KeyConfig, Reload, RosterConfig, TemplateConfig};
use crate::node::Subject;
use crate::sighting::{News, Sighting, View};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A new configuration, or new templates: all of it, already checked.
    Configured(Plan),
    /// News from a registry.
    Saw(Sighting),
    /// The publication of this number ended.
    Published(FlightId, Outcome),
    /// A reload ended.
    Reloaded(Reload, Ran),
    /// A moment that [`Engine::next_wake`] named has come.
    Tick,
    /// The agent is about to stop: nothing more is published, and reloads that were only deferred run now.
    Stopping,
}

/// Something to do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Bring a destination in step; answer with [`Input::Published`]. Several at once are independent of each other.
    Publish(Publication),
    /// Run a reload; answer with [`Input::Reloaded`].
    Reload(ReloadJob),
    /// Say something.
    Say(Notice),
}

/// How the engine is to behave where a daemon and a single pass differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// For as long as the agent lives: failures are tried again.
    Continuous,
    /// One pass: nothing is tried again.
    Once,
}

/// The decisions. It holds no clock: every step is told the time.
#[derive(Debug)]
pub struct Engine {
    pace: Pace,
    stopping: bool,
    host: Arc<str>,
    sights: Sights,
    origins: BTreeMap<Arc<str>, Arc<str>>,
    /// What the plan follows: what is still said of anything else is out of date before it is needed again.
    places: BTreeSet<Place>,
    away: BTreeMap<Arc<str>, String>,
    rosters: BTreeMap<Arc<str>, Roster>,
    keys: BTreeMap<Arc<str>, Key>,
    templates: BTreeMap<Arc<str>, Template>,
    flights: Flights,
    debts: BTreeMap<Reload, Debt>,
}

impl Engine {
    /// An engine with nothing to do. `host` is this host's name, for `pick = "spread"`.
    pub fn new(pace: Pace, host: &str) -> Self {
        Self {
            pace,
            stopping: false,
            host: Arc::from(host),
            sights: Sights::default(),
            origins: BTreeMap::new(),
            places: BTreeSet::new(),
            away: BTreeMap::new(),
            rosters: BTreeMap::new(),
            keys: BTreeMap::new(),
            templates: BTreeMap::new(),
            flights: Flights::default(),
            debts: BTreeMap::new(),
        }
    }

    /// Takes one input in and says what is to be done now.
    pub fn step(&mut self, now: Moment, input: Input) -> Vec<Effect> {
        let mut notices = Vec::new();
        match input {
            Input::Configured(plan) => self.configure(now, plan, &mut notices),
            Input::Saw(sighting) => self.see(now, sighting, &mut notices),
            Input::Published(id, outcome) => self.published(now, id, outcome, &mut notices),
            Input::Reloaded(reload, ran) => self.reloaded(now, &reload, &ran, &mut notices),
            Input::Tick => {}
            Input::Stopping => {
                self.stopping = true;
                self.debts.values_mut().for_each(Debt::hurry);
            }
        }
        self.judge(now, &mut notices);
        let mut work = self.publish(now, &mut notices);
        work.extend(self.run_reloads(now));
        notices.into_iter().map(Effect::Say).chain(work).collect()
    }

    /// When [`Input::Tick`] is wanted at the latest, if nothing else happens before.
    pub fn next_wake(&self) -> Option<Moment> {
        let rosters = self.rosters.values().filter_map(Roster::due);
        // One whose destination is busy is looked at again when that publication ends.
        let free = |template: &&Template| !self.flights.is_busy(&template.plan().config.dest);
        let templates = self.templates.values().filter(free).filter_map(Template::due);
        rosters.chain(templates).chain(self.debts.values().filter(|_| self.may_reload()).filter_map(Debt::due)).min()
    }

    fn configure(&mut self, now: Moment, plan: Plan, notices: &mut Vec<Notice>) {
        let origins: BTreeMap<Arc<str>, Arc<str>> = plan
            .rosters
            .iter()
            .map(|roster| (&roster.config.registry, &roster.origin))
            .chain(plan.keys.iter().map(|key| (&key.config.registry, &key.origin)))
            .map(|(registry, origin)| (Arc::clone(registry), Arc::clone(origin)))
            .collect();
        self.places = places(&plan);
        // What was seen at another url says nothing about this one.
        let moved = |registry: &Arc<str>| self.origins.get(registry) != origins.get(registry);
        let places = &self.places;
        self.sights.keep(|place| places.contains(place) && !moved(&place.0));
        let mut rosters: BTreeMap<_, _> = std::mem::take(&mut self.rosters);
        rosters.retain(|_, roster| !moved(&roster.config().registry));
        let mut keys: BTreeMap<_, _> = std::mem::take(&mut self.keys);
        keys.retain(|_, key| !moved(&key.config().registry));
        self.away.retain(|registry, _| origins.contains_key(registry));
        self.origins = origins;
        self.rosters = plan.rosters.iter().map(|roster| self.take_on_roster(now, &mut rosters, roster)).collect();
        self.keys = plan.keys.iter().map(|key| self.take_on_key(now, &mut keys, key, notices)).collect();
        let mut templates = std::mem::take(&mut self.templates);
        for planned in plan.templates {
            let name = Arc::clone(&planned.config.name);
            let template = match templates.remove(&name) {
                Some(mut template) => {
                    template.replan(planned);
                    template
                }
                None => Template::new(planned),
            };
            self.templates.insert(name, template);
        }
        self.set_terms();
        self.rehome();
    }

    fn take_on_roster(
        &self,
        now: Moment,
        known: &mut BTreeMap<Arc<str>, Roster>,
        planned: &Followed<RosterConfig>,
    ) -> (Arc<str>, Roster) {
        let config = &planned.config;
        let place: Place = (Arc::clone(&config.registry), config.subject.clone());
        let same = |roster: &Roster| {
            (&roster.config().registry, &roster.config().subject) == (&config.registry, &config.subject)
        };
        let view = self.sights.view(&place);
        let roster = if let Some(mut roster) = known.remove(&config.name).filter(same) {
            let reread = roster.config().payload != config.payload;
            roster.reconfigure(now, Arc::clone(config));
            if let (true, Some(view)) = (reread, view) {
                roster.reset(now, view);
            }
            roster
        } else {
            let mut roster = Roster::new(Arc::clone(config));
            if let Some(view) = view {
                roster.reset(now, view);
            }
            roster
        };
        (Arc::clone(&config.name), roster)
    }

    fn take_on_key(
        &self,
        now: Moment,
        known: &mut BTreeMap<Arc<str>, Key>,
        planned: &Followed<KeyConfig>,
        notices: &mut Vec<Notice>,
    ) -> (Arc<str>, Key) {
        let config = &planned.config;
        let key = known.remove(&config.name).filter(|key| key.config() == config).unwrap_or_else(|| {
            let mut key = Key::new(Arc::clone(config));
            let place: Place = (Arc::clone(&config.registry), Subject::Node(config.path.clone()));
            if let Some(View::Node(seen)) = self.sights.view(&place) {
                key.reset(now, seen, notices);
            }
            key
        });
        (Arc::clone(&config.name), key)
    }

    /// Templates that share a reload share its debt, on the most cautious terms of them all.
    fn set_terms(&mut self) {
        let mut terms: BTreeMap<&Reload, Terms> = BTreeMap::new();
        for config in self.templates.values().map(|template| &template.plan().config) {
            let Some(reload) = &config.reload else {
                continue;
            };
            let own = Terms::of(config);
            let shared = terms.entry(reload).or_insert(own);
            shared.timeout = shared.timeout.max(own.timeout);
            shared.interval = shared.interval.max(own.interval);
            shared.retries = shared.retries.zip(own.retries).map(|(a, b)| a.max(b));
        }
        for (reload, terms) in terms {
            self.debts.entry(reload.clone()).or_insert_with(|| Debt::new(terms)).set_terms(terms);
        }
        // A debt outlives the template that made it.
        let templates = &self.templates;
        self.debts.retain(|reload, debt| {
            let named = templates.values().any(|template| template.plan().config.reload.as_ref() == Some(reload));
            debt.is_owed() || named
        });
    }

    /// Reloads that the templates of a new configuration owe by another command, or none, are theirs to run.
    fn rehome(&mut self) {
        let templates = &self.templates;
        let present = |owed: &TemplateConfig| {
            let now = &templates.get(&owed.name)?.plan().config;
            (now.dest == owed.dest).then(|| Arc::clone(now))
        };
        let moved: Vec<_> = self.debts.values_mut().flat_map(|debt| debt.rehome(present)).collect();
        for config in moved {
            if let Some(reload) = &config.reload {
                let debt = self.debts.entry(reload.clone()).or_insert_with(|| Debt::new(Terms::of(&config)));
                debt.owe(&config, BTreeSet::new());
            }
        }
    }

    fn see(&mut self, now: Moment, sighting: Sighting, notices: &mut Vec<Notice>) {
        let Sighting { registry, news } = sighting;
        if let News::Reset { subject, .. } | News::Update { subject, .. } = &news
            && !self.places.contains(&(Arc::clone(&registry), subject.clone()))
        {
            return;
        }
        match &news {
            News::Away { why } => {
                if self.away.get(&registry) != Some(why) {
                    self.away.insert(Arc::clone(&registry), why.clone());
                    notices.push(Notice::Away { registry: Arc::clone(&registry), why: why.clone() });
                }
                // Until a place has been read again, what was seen there may be of any age.
                self.sights.keep(|(of, _)| *of != registry);
                self.rosters.values_mut().filter(|roster| roster.config().registry == registry).for_each(Roster::away);
            }
            News::Reset { subject, view } => {
                if self.away.remove(&registry).is_some() {
                    notices.push(Notice::Back { registry: Arc::clone(&registry) });
                }
                for roster in self.rosters_on(&registry, subject) {
                    roster.reset(now, view);
                }
                self.see_key(now, &registry, subject, view, notices);
                self.sights.take((registry, subject.clone()), news);
            }
            News::Update { subject, changes } => {
                for roster in self.rosters_on(&registry, subject) {
                    for change in changes {
                        roster.update(now, change);
                    }
                }
                self.sights.take((registry, subject.clone()), news);
            }
        }
    }

    fn rosters_on(&mut self, registry: &Arc<str>, subject: &Subject) -> impl Iterator<Item = &mut Roster> {
        self.rosters
            .values_mut()
            .filter(move |roster| roster.config().registry == *registry && roster.config().subject == *subject)
    }

    fn see_key(&mut self, now: Moment, registry: &Arc<str>, subject: &Subject, view: &View, notices: &mut Vec<Notice>) {
        let (Subject::Node(path), View::Node(seen)) = (subject, view) else {
            return;
        };
        let mut changed = Vec::new();
        for (name, key) in &mut self.keys {
            if key.config().registry == *registry && key.config().path == *path && key.reset(now, seen, notices) {
                changed.push(Arc::clone(name));
            }
        }
        for name in changed {
            self.want(&name, false);
        }
    }

    fn want(&mut self, name: &Arc<str>, is_roster: bool) {
        for template in self.templates.values_mut().filter(|template| template.needs(name, is_roster)) {
            template.want();
        }
    }

    fn judge(&mut self, now: Moment, notices: &mut Vec<Notice>) {
        let due = self.rosters.iter().filter(|(_, roster)| roster.due().is_some_and(|due| due <= now));
        let due: Vec<Arc<str>> = due.map(|(name, _)| Arc::clone(name)).collect();
        for name in due {
            if let Some(roster) = self.rosters.get_mut(&name)
                && roster.judge(now, &self.host, notices)
            {
                self.want(&name, true);
            }
        }
    }

    fn publish(&mut self, now: Moment, notices: &mut Vec<Notice>) -> Vec<Effect> {
        if self.stopping {
            return Vec::new();
        }
        self.flights.next_batch();
        let (rosters, keys, flights) = (&self.rosters, &self.keys, &mut self.flights);
        let begun = self.templates.values_mut().filter_map(|template| {
            let config = Arc::clone(&template.plan().config);
            if flights.is_busy(&config.dest) {
                return None;
            }
            let snapshot = template.ready(now, rosters, keys, notices)?;
            let id = flights.begin(&config);
            template.begin(id);
            Some(Effect::Publish(Publication { id, template: config, snapshot }))
        });
        begun.collect()
    }

    fn published(&mut self, now: Moment, id: FlightId, outcome: Outcome, notices: &mut Vec<Notice>) {
        let Some(flight) = self.flights.end(id) else {
            return;
        };
        self.debts.values_mut().for_each(|debt| debt.arrived(id));
        let replaced = outcome == Outcome::Replaced;
        // What was replaced under a configuration that has changed since is reloaded as the present one says; what has
        // no present one, as it was said then.
        let mut config = Arc::clone(&flight.config);
        if let Some(template) = self.templates.get_mut(&config.name) {
            template.end(now, id, outcome, self.pace == Pace::Continuous, notices);
            if template.plan().config.dest == config.dest {
                config = Arc::clone(&template.plan().config);
            }
        }
        if let (true, Some(reload)) = (replaced, &config.reload) {
            let beside = self.flights.beside(&flight, reload);
            let debt = self.debts.entry(reload.clone()).or_insert_with(|| Debt::new(Terms::of(&config)));
            debt.owe(&config, beside);
        }
    }

    fn reloaded(&mut self, now: Moment, reload: &Reload, ran: &Ran, notices: &mut Vec<Notice>) {
        let Some(debt) = self.debts.get_mut(reload) else {
            return;
        };
        let again = debt.end(now, ran);
        // What it was for may be owed by a mended command by now.
        self.rehome();
        if let Ran::Failed(why) = ran {
            notices.push(Notice::ReloadFailed { reload: reload.to_string(), why: why.clone(), again });
        }
    }

    /// A single pass reloads when all its files are in place, and once each: see [`Input::Stopping`].
    fn may_reload(&self) -> bool {
        self.pace == Pace::Continuous || self.stopping
    }

    fn run_reloads(&mut self, now: Moment) -> Vec<Effect> {
        if !self.may_reload() {
            return Vec::new();
        }
        let due = self.debts.iter_mut().filter(|(_, debt)| debt.due().is_some_and(|due| due <= now));
        due.map(|(reload, debt)| {
            let templates = debt.begin(now);
            Effect::Reload(ReloadJob { reload: reload.clone(), timeout: debt.terms().timeout, templates })
        })
        .collect()
    }

    /// Whether a publication is under way.
    pub fn is_publishing(&self) -> bool {
        !self.flights.is_empty()
    }

    /// Whether a reload is under way, or one that has not failed is still to run.
    pub fn is_reloading(&self) -> bool {
        self.debts.values().any(Debt::is_pending)
    }

    /// Every roster by name.
    pub fn rosters(&self) -> &BTreeMap<Arc<str>, Roster> {
        &self.rosters
    }

    /// Every key by name.
    pub fn keys(&self) -> &BTreeMap<Arc<str>, Key> {
        &self.keys
    }

    /// Every template by name.
    pub fn templates(&self) -> &BTreeMap<Arc<str>, Template> {
        &self.templates
    }

    /// Every reload that was or is owed.
    pub fn debts(&self) -> &BTreeMap<Reload, Debt> {
        &self.debts
    }

    /// The registries that are not reached, with what was tried.
    pub fn away(&self) -> &BTreeMap<Arc<str>, String> {
        &self.away
    }
}

/// Everything that a plan follows.
fn places(plan: &Plan) -> BTreeSet<Place> {
    let rosters = plan.rosters.iter().map(|roster| &roster.config);
    let rosters = rosters.map(|roster| (Arc::clone(&roster.registry), roster.subject.clone()));
    let keys = plan.keys.iter().map(|key| &key.config);
    rosters.chain(keys.map(|key| (Arc::clone(&key.registry), Subject::Node(key.path.clone())))).collect()
}
