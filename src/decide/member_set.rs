//! The members of one path: those that the registry shows, and those that were last good.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::accept::HeldMembers;
use super::dedup::{ByName, duplicates};
use super::guard::LossGuard;
use super::hold::Hold;
use super::moment::Moment;
use super::publication::SlottedMembers;
use super::saved::{GuardHistory, SavedPath};
use super::settle::Settle;
use super::slot_assignment;
use super::slots::ReservedSlots;
use crate::config::RosterConfig;
use crate::model::member::Quarantine;
use crate::model::registry_event::{Members, Reading, Seen};
use crate::model::version::{VersionTracker, Zxid};
use crate::payload::{Children, Format};
use evaluate::out_of_bounds;
use observed::Observed;

pub mod evaluate;
pub mod observed;

pub use evaluate::Verdict;

/// The members of one path. A roster has one, or one for each key that its `*` matches.
#[derive(Debug, Clone)]
pub struct MemberSet {
    observed: Observed,
    /// What `auto` reads the path by, from the first node on that speaks for a format.
    chosen: Option<Format>,
    good: Option<SlottedMembers>,
    hold: Option<Hold>,
    /// Since when a hold was in force that the agent before this one left.
    held: Option<Moment>,
    guarded: LossGuard,
    reserved_slots: ReservedSlots,
    settle: Settle,
    version: VersionTracker,
    /// Whether a view has been evaluated since the agent began.
    evaluated: bool,
    /// A person let the present view through: it is evaluated at once.
    accepted: bool,
}

impl MemberSet {
    /// A path of which the registry has just been heard for the first time.
    pub fn new(seen: &Seen<Members>, config: &RosterConfig) -> Self {
        Self::with(Observed::read(seen, config, None, None))
    }

    /// A path that was remembered, and of which the registry has not been heard yet. Members that the configuration no
    /// longer takes for enough are none.
    ///
    /// `recent` says whether the guard is to measure the first view by them.
    pub fn from_saved(known: &SavedPath, config: &RosterConfig, host: &str, recent: bool) -> Self {
        let mut set = Self { version: VersionTracker::restored(known.version), ..Self::with(Observed::Unseen) };
        let nodes = known.members.iter().map(|(name, kept)| (Arc::clone(name), Ok(Arc::clone(&kept.data))));
        let observed = Observed::read(&Seen::Present(nodes.collect()), config, None, None);
        let Some(members) = observed.members().filter(|members| out_of_bounds(members.len(), config).is_none()) else {
            return set;
        };
        let GuardHistory { sizes, loss, held, reserved_slots } = known.guard_history.clone();
        let numbers = known.members.iter().filter_map(|(name, kept)| Some((Arc::clone(name), kept.slot?)));
        let taken = slot_assignment::pick(&members, config.bounds.max(), config.pick, host);
        let slotted = slot_assignment::assign(taken, &numbers.collect(), &reserved_slots);
        set.good = Some(slot_assignment::sort(slotted, config.order));
        // A loss that is not believed yet is measured by what was there before it, however long ago that was.
        if recent || loss.is_some() {
            let sizes = if sizes.is_empty() { vec![(Moment::START, members.len())] } else { sizes };
            set.guarded = LossGuard::from_saved(sizes.into_iter(), loss);
        }
        (set.held, set.reserved_slots) = (held, reserved_slots);
        set
    }

    fn with(observed: Observed) -> Self {
        Self {
            chosen: observed.children().and_then(Children::chosen).cloned(),
            observed,
            good: None,
            hold: None,
            held: None,
            guarded: LossGuard::default(),
            reserved_slots: ReservedSlots::new(),
            settle: Settle::default(),
            version: VersionTracker::default(),
            evaluated: false,
            accepted: false,
        }
    }

    /// The whole path was read anew. Says whether that differs from what was known.
    pub fn reset(&mut self, now: Moment, seen: &Seen<Members>, config: &RosterConfig) {
        let observed = Observed::read(seen, config, self.chosen.as_ref(), self.observed.children());
        if let Some(children) = observed.children() {
            self.chosen = children.chosen().cloned();
        }
        if observed != self.observed {
            self.observed = observed;
            self.settle.mark_changed(now);
        }
    }

    /// A member joined or changed.
    pub fn put(&mut self, now: Moment, name: &Arc<str>, reading: &Reading, config: &RosterConfig) {
        if let Observed::Present(filtered) = &mut self.observed
            && filtered.put(name, reading, config.filter.as_ref())
        {
            self.chosen = filtered.children().chosen().cloned();
            self.settle.mark_changed(now);
        }
    }

    /// A member left.
    pub fn remove(&mut self, now: Moment, name: &Arc<str>, config: &RosterConfig) {
        if let Observed::Present(filtered) = &mut self.observed
            && filtered.remove(name, config.filter.as_ref())
        {
            self.settle.mark_changed(now);
        }
    }

    /// The path is gone.
    pub fn path_removed(&mut self, now: Moment) {
        if self.observed != Observed::Absent {
            self.observed = Observed::Absent;
            self.settle.mark_changed(now);
        }
    }

    /// How late the present view is; `None` where the registry does not say.
    pub fn set_version(&mut self, now: Moment, shown: Option<Zxid>) {
        let was_older = self.version.regression().is_some();
        self.version.observe(shown);
        // An older state is evaluated even where its members are the same: if nothing is lost, it is the one to go by.
        if was_older || self.version.regression().is_some() {
            self.mark_changed(now);
        }
    }

    /// It is gone together with what is above it, which is so late.
    pub fn set_version_from_parent(&mut self, now: Moment, above: VersionTracker) {
        self.version.raise(above);
        self.set_version(now, above.current());
    }

    /// The registry is away, or something else makes a judgement of what was seen so far wrong.
    pub fn discard_changes(&mut self) {
        self.settle.clear();
    }

    /// It has to be evaluated again although nothing was seen: the bounds changed, or the registry is back.
    pub fn mark_changed(&mut self, now: Moment) {
        if self.observed != Observed::Unseen {
            self.settle.mark_changed(now);
        }
    }

    /// A person lets the present view through, which a loss of members holds: it is the new baseline. Whatever else
    /// speaks against it still does, and below `min` nothing is let through. Says whether there was such a hold.
    pub fn accept(&mut self, now: Moment, config: &RosterConfig) -> bool {
        // What nobody can be shown is no baseline for what comes after it.
        let held_members = self.held_members(config);
        if let Some(held_members) = &held_members {
            self.guarded.accept(now, held_members.len());
            self.version.accept();
            self.accepted = true;
        }
        held_members.is_some()
    }

    /// When it is to be evaluated, if at all: at once when it was never evaluated, when changes have settled, or when a hold
    /// ends by time.
    pub fn due(&self, config: &RosterConfig) -> Option<Moment> {
        // The first view is whole, and a template may be waiting for it.
        if self.observed != Observed::Unseen && (!self.evaluated || self.accepted) {
            return Some(Moment::START);
        }
        let settled = self.settle.due(config.wait);
        let released = self.hold.as_ref().and_then(|hold| hold.reason.until());
        match (settled, released) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// When the changes that were seen last are evaluated.
    pub fn settles(&self, config: &RosterConfig) -> Option<Moment> {
        self.settle.due(config.wait)
    }

    /// What the hold in force keeps back, if it is one that a person can end, and enough are left.
    pub fn held_members(&self, config: &RosterConfig) -> Option<HeldMembers> {
        let members = match &self.observed {
            Observed::Present(filtered) => filtered.members().into_owned(),
            Observed::Absent => ByName::new(),
            Observed::Unseen | Observed::Unreadable(_) => return None,
        };
        let ends = self.hold.as_ref().is_some_and(|hold| hold.reason.is_acceptable());
        (ends && members.len() >= config.bounds.min()).then(|| HeldMembers::new(members))
    }

    /// What to remember of the view that was just admitted; `nodes` is that view as the registry gave it.
    pub fn to_saved(&self, nodes: Option<&Members>) -> SavedPath {
        // What weighs the members is kept with them.
        let counts = |name| self.observed.children().is_some_and(|children| children.counts(name));
        let kept = nodes.into_iter().flatten().filter(|(name, _)| counts(name));
        let kept = kept.filter_map(|(name, reading)| Some((name, reading.as_ref().ok()?)));
        SavedPath::new(self.version.highest(), kept, self.good.as_deref().unwrap_or_default(), self.guard_history())
    }

    /// What to remember of a view that is held: how late a view was seen at the latest, and what holds since when.
    pub fn to_saved_hold(&self) -> (Option<Zxid>, GuardHistory) {
        (self.version.highest(), self.guard_history())
    }

    fn guard_history(&self) -> GuardHistory {
        let (sizes, loss) = self.guarded.known();
        let held = self.hold.as_ref().map(|hold| hold.since);
        GuardHistory { sizes: sizes.collect(), loss, held, reserved_slots: self.reserved_slots.clone() }
    }

    /// How late its views were seen to be.
    pub fn version(&self) -> VersionTracker {
        self.version
    }

    /// The last good members, if there were any.
    pub fn good(&self) -> Option<&SlottedMembers> {
        self.good.as_ref()
    }

    /// The hold in force.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// The nodes that are left out, with the reason.
    pub fn quarantined(&self) -> impl Iterator<Item = (&Arc<str>, &Quarantine)> {
        self.observed.children().into_iter().flat_map(|children| children.unfit().iter())
    }

    /// What `auto` reads the path by, once it knows.
    pub fn chosen(&self) -> Option<&Format> {
        self.chosen.as_ref()
    }

    /// The members that `where` leaves out, with the reason where it cannot be asked of them.
    pub fn excluded(&self) -> impl Iterator<Item = (&Arc<str>, Option<&str>)> {
        let excluded = self.observed.filtered().into_iter().flat_map(|filtered| filtered.excluded().iter());
        excluded.map(|(name, why)| (name, why.as_deref()))
    }

    /// How many members the registry shows, without the nodes that name the same host and port as one before them;
    /// and those nodes, with that one.
    pub fn counts(&self) -> Option<(usize, BTreeMap<Arc<str>, Arc<str>>)> {
        let taken = self.observed.filtered()?.taken();
        let duplicates = duplicates(&taken);
        Some((taken.len() - duplicates.len(), duplicates))
    }

    /// Whether the registry says that the path does not exist.
    pub fn is_absent(&self) -> bool {
        self.observed == Observed::Absent
    }
}
