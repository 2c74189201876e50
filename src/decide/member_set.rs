//! The members of one path: those that the registry shows, and those that were last good.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::accept::Withheld;
use super::dedup::{ByName, doubles};
use super::guard::Guarded;
use super::hold::Hold;
use super::moment::Moment;
use super::publication::SlottedMembers;
use super::saved::{GuardHistory, Known};
use super::settle::Settle;
use super::slot_assignment;
use super::slots::ReservedSlots;
use crate::config::RosterConfig;
use crate::model::member::Quarantine;
use crate::model::registry_event::{Members, Reading, Seen};
use crate::model::version::{VersionTracker, Zxid};
use crate::payload::{Children, Format};
use judge::out_of_bounds;
use live::Live;

pub mod judge;
pub mod live;

pub use judge::Verdict;

/// The members of one path. A roster has one, or one for each key that its `*` matches.
#[derive(Debug, Clone)]
pub struct MemberSet {
    live: Live,
    /// What `auto` reads the path by, from the first node on that speaks for a format.
    chosen: Option<Format>,
    good: Option<SlottedMembers>,
    hold: Option<Hold>,
    /// Since when a hold was in force that the agent before this one left.
    held: Option<Moment>,
    guarded: Guarded,
    vacancies: ReservedSlots,
    settle: Settle,
    stamp: VersionTracker,
    /// Whether a view has been judged since the agent began.
    judged: bool,
    /// A person let the present view through: it is judged at once.
    accepted: bool,
}

impl MemberSet {
    /// A path of which the registry has just been heard for the first time.
    pub fn new(seen: &Seen<Members>, config: &RosterConfig) -> Self {
        Self::with(Live::read(seen, config, None, None))
    }

    /// A path that was remembered, and of which the registry has not been heard yet. Members that the configuration no
    /// longer takes for enough are none.
    ///
    /// `recent` says whether the guard is to measure the first view by them.
    pub fn recalled(known: &Known, config: &RosterConfig, host: &str, recent: bool) -> Self {
        let mut muster = Self { stamp: VersionTracker::restored(known.stamp), ..Self::with(Live::Unseen) };
        let nodes = known.members.iter().map(|(name, kept)| (Arc::clone(name), Ok(Arc::clone(&kept.data))));
        let live = Live::read(&Seen::Present(nodes.collect()), config, None, None);
        let Some(members) = live.members().filter(|members| out_of_bounds(members.len(), config).is_none()) else {
            return muster;
        };
        let GuardHistory { sizes, loss, held, vacancies } = known.course.clone();
        let numbers = known.members.iter().filter_map(|(name, kept)| Some((Arc::clone(name), kept.slot?)));
        let taken = slot_assignment::pick(&members, config.bounds.max(), config.pick, host);
        let seats = slot_assignment::seat(taken, &numbers.collect(), &vacancies);
        muster.good = Some(slot_assignment::arrange(seats, config.order));
        // A loss that is not believed yet is measured by what was there before it, however long ago that was.
        if recent || loss.is_some() {
            let sizes = if sizes.is_empty() { vec![(Moment::START, members.len())] } else { sizes };
            muster.guarded = Guarded::recalled(sizes.into_iter(), loss);
        }
        (muster.held, muster.vacancies) = (held, vacancies);
        muster
    }

    fn with(live: Live) -> Self {
        Self {
            chosen: live.children().and_then(Children::chosen).cloned(),
            live,
            good: None,
            hold: None,
            held: None,
            guarded: Guarded::default(),
            vacancies: ReservedSlots::new(),
            settle: Settle::default(),
            stamp: VersionTracker::default(),
            judged: false,
            accepted: false,
        }
    }

    /// The whole path was read anew. Says whether that differs from what was known.
    pub fn reset(&mut self, now: Moment, seen: &Seen<Members>, config: &RosterConfig) {
        let live = Live::read(seen, config, self.chosen.as_ref(), self.live.children());
        if let Some(children) = live.children() {
            self.chosen = children.chosen().cloned();
        }
        if live != self.live {
            self.live = live;
            self.settle.touch(now);
        }
    }

    /// A member joined or changed.
    pub fn put(&mut self, now: Moment, name: &Arc<str>, reading: &Reading, config: &RosterConfig) {
        if let Live::Present(choice) = &mut self.live
            && choice.put(name, reading, config.filter.as_ref())
        {
            self.chosen = choice.children().chosen().cloned();
            self.settle.touch(now);
        }
    }

    /// A member left.
    pub fn left(&mut self, now: Moment, name: &Arc<str>, config: &RosterConfig) {
        if let Live::Present(choice) = &mut self.live
            && choice.remove(name, config.filter.as_ref())
        {
            self.settle.touch(now);
        }
    }

    /// The path is gone.
    pub fn vanish(&mut self, now: Moment) {
        if self.live != Live::Absent {
            self.live = Live::Absent;
            self.settle.touch(now);
        }
    }

    /// How late the present view is; `None` where the registry does not say.
    pub fn stamped(&mut self, now: Moment, shown: Option<Zxid>) {
        let was_older = self.stamp.regression().is_some();
        self.stamp.observe(shown);
        // An older state is judged even where its members are the same: if nothing is lost, it is the one to go by.
        if was_older || self.stamp.regression().is_some() {
            self.touch(now);
        }
    }

    /// It is gone together with what is above it, which is so late.
    pub fn stamped_from_above(&mut self, now: Moment, above: VersionTracker) {
        self.stamp.raise(above);
        self.stamped(now, above.current());
    }

    /// The registry is away, or something else makes a judgement of what was seen so far wrong.
    pub fn unsettle(&mut self) {
        self.settle.clear();
    }

    /// It has to be judged again although nothing was seen: the bounds changed, or the registry is back.
    pub fn touch(&mut self, now: Moment) {
        if self.live != Live::Unseen {
            self.settle.touch(now);
        }
    }

    /// A person lets the present view through, which a loss of members holds: it is the new baseline. Whatever else
    /// speaks against it still does, and below `min` nothing is let through. Says whether there was such a hold.
    pub fn accept(&mut self, now: Moment, config: &RosterConfig) -> bool {
        // What nobody can be shown is no baseline for what comes after it.
        let withheld = self.withheld(config);
        if let Some(withheld) = &withheld {
            self.guarded.accept(now, withheld.len());
            self.stamp.accept();
            self.accepted = true;
        }
        withheld.is_some()
    }

    /// When it is to be judged, if at all: at once when it was never judged, when changes have settled, or when a hold
    /// ends by time.
    pub fn due(&self, config: &RosterConfig) -> Option<Moment> {
        // The first view is whole, and a template may be waiting for it.
        if self.live != Live::Unseen && (!self.judged || self.accepted) {
            return Some(Moment::START);
        }
        let settled = self.settle.due(config.wait);
        let released = self.hold.as_ref().and_then(|hold| hold.reason.until());
        match (settled, released) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// When the changes that were seen last are judged.
    pub fn settles(&self, config: &RosterConfig) -> Option<Moment> {
        self.settle.due(config.wait)
    }

    /// What the hold in force keeps back, if it is one that a person can end, and enough are left.
    pub fn withheld(&self, config: &RosterConfig) -> Option<Withheld> {
        let members = match &self.live {
            Live::Present(choice) => choice.members().into_owned(),
            Live::Absent => ByName::new(),
            Live::Unseen | Live::Unreadable(_) => return None,
        };
        let ends = self.hold.as_ref().is_some_and(|hold| hold.reason.is_acceptable());
        (ends && members.len() >= config.bounds.min()).then(|| Withheld::new(members))
    }

    /// What to remember of the view that was just admitted; `nodes` is that view as the registry gave it.
    pub fn known(&self, nodes: Option<&Members>) -> Known {
        // What weighs the members is kept with them.
        let counts = |name| self.live.children().is_some_and(|children| children.counts(name));
        let kept = nodes.into_iter().flatten().filter(|(name, _)| counts(name));
        let kept = kept.filter_map(|(name, reading)| Some((name, reading.as_ref().ok()?)));
        Known::of(self.stamp.highest(), kept, self.good.as_deref().unwrap_or_default(), self.course())
    }

    /// What to remember of a view that is held: how late a view was seen at the latest, and what holds since when.
    pub fn held(&self) -> (Option<Zxid>, GuardHistory) {
        (self.stamp.highest(), self.course())
    }

    fn course(&self) -> GuardHistory {
        let (sizes, loss) = self.guarded.known();
        let held = self.hold.as_ref().map(|hold| hold.since);
        GuardHistory { sizes: sizes.collect(), loss, held, vacancies: self.vacancies.clone() }
    }

    /// How late its views were seen to be.
    pub fn stamp(&self) -> VersionTracker {
        self.stamp
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
    pub fn unfit(&self) -> impl Iterator<Item = (&Arc<str>, &Quarantine)> {
        self.live.children().into_iter().flat_map(|children| children.unfit().iter())
    }

    /// What `auto` reads the path by, once it knows.
    pub fn chosen(&self) -> Option<&Format> {
        self.chosen.as_ref()
    }

    /// The members that `where` leaves out, with the reason where it cannot be asked of them.
    pub fn apart(&self) -> impl Iterator<Item = (&Arc<str>, Option<&str>)> {
        let apart = self.live.choice().into_iter().flat_map(|choice| choice.apart().iter());
        apart.map(|(name, why)| (name, why.as_deref()))
    }

    /// How many members the registry shows, without the nodes that name the same host and port as one before them;
    /// and those nodes, with that one.
    pub fn seen(&self) -> Option<(usize, BTreeMap<Arc<str>, Arc<str>>)> {
        let taken = self.live.choice()?.taken();
        let doubles = doubles(&taken);
        Some((taken.len() - doubles.len(), doubles))
    }

    /// Whether the registry says that the path does not exist.
    pub fn is_absent(&self) -> bool {
        self.live == Live::Absent
    }
}
