//! The members of one path: those in the registry, and the last known-good ones.

use std::sync::Arc;

use super::accept::HeldMembers;
use super::dedup::{ByName, Duplicates, duplicates};
use super::guard::LossGuard;
use super::hold::Hold;
use super::moment::Moment;
use super::publication::SlottedMembers;
use super::saved::{GuardHistory, SavedMember, SavedPath};
use super::settle::Settle;
use super::slot_assignment;
use super::slots::ReservedSlots;
use crate::config::RosterConfig;
use crate::model::quarantine::Quarantine;
use crate::model::registry_event::{Members, NodeContent, Reading, Seen};
use crate::model::version::{VersionTracker, Zxid};
use crate::payload::{DecodedChildren, Format, NotAMember};
use evaluate::out_of_bounds;
use observed::{KeyFilter, Observed};

pub mod evaluate;
pub mod observed;

pub use evaluate::Verdict;

/// The members of one path. A roster has one set, or one for each key that its `*` matches.
#[derive(Debug, Clone)]
pub struct MemberSet {
    /// Its key; the empty string for a plain path.
    key: Arc<str>,
    observed: Observed,
    /// The format that `auto` has chosen for the path.
    chosen: Option<Format>,
    good: Option<SlottedMembers>,
    hold: Option<Hold>,
    /// The start of the hold at the end of the previous run.
    held: Option<Moment>,
    guarded: LossGuard,
    reserved_slots: ReservedSlots,
    settle: Settle,
    version: VersionTracker,
    /// Whether a view has been evaluated in this run.
    evaluated: bool,
    /// An operator accepted the current view. It is evaluated at once.
    accepted: bool,
}

impl MemberSet {
    /// Creates it from the first view of a path.
    pub fn new(key: &Arc<str>, seen: &Seen<Members>, config: &RosterConfig) -> Self {
        Self::with(key, Observed::read(key, seen, config, None, None))
    }

    /// Restores saved members of a path, before the first view. Members that no longer satisfy the bounds are dropped.
    ///
    /// `recent` says whether the guard compares the first view with them.
    pub fn from_saved(key: &Arc<str>, known: &SavedPath, config: &RosterConfig, host: &str, recent: bool) -> Self {
        let mut set = Self { version: VersionTracker::restored(known.version), ..Self::with(key, Observed::Unseen) };
        let node = |kept: &SavedMember| Ok(NodeContent::ephemeral(Arc::clone(&kept.data)));
        let nodes = known.members.iter().map(|(name, kept)| (Arc::clone(name), node(kept)));
        let observed = Observed::read(key, &Seen::Present(nodes.collect()), config, None, None);
        let Some(members) = observed.members().filter(|members| out_of_bounds(members.len(), config).is_none()) else {
            return set;
        };
        let GuardHistory { sizes, loss, held, reserved_slots } = known.guard_history.clone();
        let numbers = known.members.iter().filter_map(|(name, kept)| Some((Arc::clone(name), kept.slot?)));
        let taken = slot_assignment::pick(&members, config.bounds.max(), config.pick, host);
        let slotted = slot_assignment::assign(taken, &numbers.collect(), &reserved_slots);
        set.good = Some(slot_assignment::sort(slotted, config.order));
        // An unconfirmed loss is measured against its baseline, however old that is.
        if recent || loss.is_some() {
            let sizes = if sizes.is_empty() { vec![(Moment::START, members.len())] } else { sizes };
            set.guarded = LossGuard::from_saved(sizes.into_iter(), loss);
        }
        (set.held, set.reserved_slots) = (held, reserved_slots);
        set
    }

    fn with(key: &Arc<str>, observed: Observed) -> Self {
        Self {
            key: Arc::clone(key),
            chosen: observed.children().and_then(DecodedChildren::chosen).cloned(),
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

    /// Replaces the view of the path.
    pub fn reset(&mut self, now: Moment, seen: &Seen<Members>, config: &RosterConfig) {
        let observed = Observed::read(&self.key, seen, config, self.chosen.as_ref(), self.observed.children());
        if let Some(children) = observed.children() {
            self.chosen = children.chosen().cloned();
        }
        if observed != self.observed {
            self.observed = observed;
            self.settle.mark_changed(now);
        }
    }

    /// A member was added or changed.
    pub fn put(&mut self, now: Moment, name: &Arc<str>, reading: &Reading, config: &RosterConfig) {
        if let Observed::Present(filtered) = &mut self.observed
            && filtered.put(name, reading, KeyFilter::new(config, &self.key))
        {
            self.chosen = filtered.children().chosen().cloned();
            self.settle.mark_changed(now);
        }
    }

    /// A member was removed.
    pub fn remove(&mut self, now: Moment, name: &Arc<str>, config: &RosterConfig) {
        if let Observed::Present(filtered) = &mut self.observed
            && filtered.remove(name, KeyFilter::new(config, &self.key))
        {
            self.settle.mark_changed(now);
        }
    }

    /// The path was removed.
    pub fn path_removed(&mut self, now: Moment) {
        if self.observed != Observed::Absent {
            self.observed = Observed::Absent;
            self.settle.mark_changed(now);
        }
    }

    /// Sets the version of the current view; `None` if the registry has none.
    pub fn set_version(&mut self, now: Moment, shown: Option<Zxid>) {
        let was_older = self.version.regression().is_some();
        self.version.observe(shown);
        // An older view is evaluated even if its members are the same. If nothing is lost, it is the new state.
        if was_older || self.version.regression().is_some() {
            self.mark_changed(now);
        }
    }

    /// The path was removed with its parent, whose version is given.
    pub fn set_version_from_parent(&mut self, now: Moment, above: VersionTracker) {
        self.version.raise(above);
        self.set_version(now, above.current());
    }

    /// Discards changes that are not evaluated yet.
    pub fn discard_changes(&mut self) {
        self.settle.clear();
    }

    /// Requests an evaluation without a change of the members: the bounds changed, or the registry is reached again.
    pub fn mark_changed(&mut self, now: Moment) {
        if self.observed != Observed::Unseen {
            self.settle.mark_changed(now);
        }
    }

    /// Accepts the current view despite its loss of members, as the new baseline. Other reasons for a hold stay in
    /// force, `min` included. Returns whether such a hold existed.
    pub fn accept(&mut self, now: Moment, config: &RosterConfig) -> bool {
        // A view that cannot be shown cannot become the baseline.
        let held_members = self.held_members(config);
        if let Some(held_members) = &held_members {
            self.guarded.accept(now, held_members.len());
            self.version.accept();
            self.accepted = true;
        }
        held_members.is_some()
    }

    /// When it is to be evaluated: at once before the first evaluation, else after changes have settled or when a hold
    /// times out.
    pub fn due(&self, config: &RosterConfig) -> Option<Moment> {
        // The first view is complete, and a template can be waiting for it.
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

    /// When the last changes are evaluated.
    pub fn settles(&self, config: &RosterConfig) -> Option<Moment> {
        self.settle.due(config.wait)
    }

    /// The members that the hold withholds, if an operator can accept them.
    pub fn held_members(&self, config: &RosterConfig) -> Option<HeldMembers> {
        let members = match &self.observed {
            Observed::Present(filtered) => filtered.members().into_owned(),
            Observed::Absent => ByName::new(),
            Observed::Unseen | Observed::Unreadable(_) => return None,
        };
        let ends = self.hold.as_ref().is_some_and(|hold| hold.reason.is_acceptable());
        (ends && members.len() >= config.bounds.min()).then(|| HeldMembers::new(members))
    }

    /// The admitted view, to be saved. `nodes` are its nodes as read.
    pub fn to_saved(&self, nodes: Option<&Members>) -> SavedPath {
        // Nodes that give weights are saved with the members.
        let counts = |name| self.observed.children().is_some_and(|children| children.contains(name));
        let kept = nodes.into_iter().flatten().filter(|(name, _)| counts(name));
        let kept = kept.filter_map(|(name, reading)| Some((name, &reading.as_ref().ok()?.data)));
        SavedPath::new(self.version.highest(), kept, self.good.as_deref().unwrap_or_default(), self.guard_history())
    }

    /// The state of a held view, to be saved: the highest version, and the guard history.
    pub fn to_saved_hold(&self) -> (Option<Zxid>, GuardHistory) {
        (self.version.highest(), self.guard_history())
    }

    fn guard_history(&self) -> GuardHistory {
        let (sizes, loss) = self.guarded.known();
        let held = self.hold.as_ref().map(|hold| hold.since);
        GuardHistory { sizes: sizes.collect(), loss, held, reserved_slots: self.reserved_slots.clone() }
    }

    /// The versions of its views.
    pub fn version(&self) -> VersionTracker {
        self.version
    }

    /// The last known-good members.
    pub fn good(&self) -> Option<&SlottedMembers> {
        self.good.as_ref()
    }

    /// The hold in force.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// The quarantined nodes, with the reasons.
    pub fn quarantined(&self) -> impl Iterator<Item = (&Arc<str>, &Quarantine)> {
        self.observed.children().into_iter().flat_map(|children| children.quarantined().iter())
    }

    /// The members whose data is no JSON although it begins so, with the reasons. They are used without it.
    pub fn data_errors(&self) -> impl Iterator<Item = (&Arc<str>, Quarantine)> {
        self.observed.children().into_iter().flat_map(DecodedChildren::data_errors)
    }

    /// The nodes that are not members, with the reasons.
    pub fn not_members(&self) -> impl Iterator<Item = (&Arc<str>, NotAMember)> {
        let children = self.observed.children().into_iter();
        children.flat_map(|children| children.not_members().iter().map(|(name, why)| (name, *why)))
    }

    /// The format that `auto` has chosen, if it has.
    pub fn chosen(&self) -> Option<&Format> {
        self.chosen.as_ref()
    }

    /// The members that `where` excludes, with the error if it could not be evaluated.
    pub fn excluded(&self) -> impl Iterator<Item = (&Arc<str>, Option<&str>)> {
        let excluded = self.observed.filtered().into_iter().flat_map(|filtered| filtered.excluded().iter());
        excluded.map(|(name, why)| (name, why.as_deref()))
    }

    /// The number of members in the registry without duplicates; and the duplicates, each with the first node of the
    /// same host and port.
    pub fn counts(&self) -> Option<(usize, Duplicates)> {
        let taken = self.observed.filtered()?.taken();
        let duplicates = duplicates(&taken);
        Some((taken.len() - duplicates.len(), duplicates))
    }

    /// Whether the path does not exist.
    pub fn is_absent(&self) -> bool {
        self.observed == Observed::Absent
    }
}
