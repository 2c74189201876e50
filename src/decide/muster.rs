//! The members of one path: those that the registry shows, and those that were last good.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::accept::Withheld;
use super::guard::Baseline;
use super::hold::{Hold, Reason};
use super::member::Quarantine;
use super::moment::Moment;
use super::publication::Seats;
use super::recall::Known;
use super::seats;
use super::settle::Settle;
use super::slots::Numbers;
use super::stamp::Stamp;
use crate::config::{AboveMax, RosterConfig};
use crate::payload::{Children, Format};
use crate::sighting::{Members, Reading, Seen, Zxid};
use live::{Live, read};

mod live;

/// The members of one path. A roster has one, or one for each key that its `*` matches.
#[derive(Debug, Clone)]
pub struct Muster {
    live: Live,
    /// What `auto` reads the path by, from the first node on that speaks for a format.
    chosen: Option<Format>,
    good: Option<Seats>,
    hold: Option<Hold>,
    /// The mass loss that is not believed yet, whatever else holds meanwhile.
    loss: Option<Loss>,
    settle: Settle,
    baseline: Baseline,
    stamp: Stamp,
    /// Whether a view has been judged since the agent began.
    judged: bool,
    /// A person let the present view through: it is judged at once.
    accepted: bool,
}

/// A loss of more than `max_shrink`.
#[derive(Debug, Clone, Copy)]
struct Loss {
    /// How many were left when it was last found to be worse.
    to: usize,
    /// When it is believed.
    until: Moment,
}

/// What a judgement came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The members are taken; whether that changed what templates see.
    Admit {
        /// They are not those from before.
        changed: bool,
        /// A hold ended.
        released: bool,
    },
    /// The last good ones stand.
    Hold {
        /// The reason was not in force before, or differs in more than its figures' course over time.
        new: bool,
    },
}

impl Muster {
    /// A path of which the registry has just been heard for the first time.
    pub fn new(seen: &Seen<Members>, config: &RosterConfig) -> Self {
        Self::with(read(seen, config, None, None))
    }

    /// A path that was remembered, and of which the registry has not been heard yet. Members that the configuration no
    /// longer takes for enough are none.
    ///
    /// `recent` says whether the guard is to measure the first view by them.
    pub fn recalled(known: &Known, config: &RosterConfig, host: &str, recent: bool) -> Self {
        let mut muster = Self { stamp: Stamp::recalled(known.stamp), ..Self::with(Live::Unseen) };
        let nodes = known.members.iter().map(|(name, kept)| (Arc::clone(name), Ok(Arc::clone(&kept.data))));
        if let Some(members) = read(&Seen::Present(nodes.collect()), config, None, None).members() {
            if out_of_bounds(members.len(), 0, false, config).is_some() {
                return muster;
            }
            let numbers = known.members.iter().filter_map(|(name, kept)| Some((Arc::clone(name), kept.slot?)));
            let taken = seats::pick(members, config.bounds.max(), config.pick, host);
            muster.good = Some(seats::seat(taken, &numbers.collect()));
            if recent {
                muster.baseline.record(Moment::START, members.len());
            }
        }
        muster
    }

    fn with(live: Live) -> Self {
        Self {
            chosen: live.children().and_then(Children::chosen).cloned(),
            live,
            good: None,
            hold: None,
            loss: None,
            settle: Settle::default(),
            baseline: Baseline::default(),
            stamp: Stamp::default(),
            judged: false,
            accepted: false,
        }
    }

    /// The whole path was read anew. Says whether that differs from what was known.
    pub fn reset(&mut self, now: Moment, seen: &Seen<Members>, config: &RosterConfig) {
        let live = read(seen, config, self.chosen.as_ref(), self.live.children());
        if let Some(children) = live.children() {
            self.chosen = children.chosen().cloned();
        }
        if live != self.live {
            self.live = live;
            self.settle.touch(now);
        }
    }

    /// A member joined or changed.
    pub fn put(&mut self, now: Moment, name: &Arc<str>, reading: &Reading) {
        if let Live::Present(children) = &mut self.live
            && children.put(name, reading)
        {
            self.chosen = children.chosen().cloned();
            self.settle.touch(now);
        }
    }

    /// A member left.
    pub fn left(&mut self, now: Moment, name: &Arc<str>) {
        if let Live::Present(children) = &mut self.live
            && children.remove(name)
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
        let was_older = self.stamp.regress().is_some();
        self.stamp.see(shown);
        // An older state is judged even where its members are the same: if nothing is lost, it is the one to go by.
        if was_older || self.stamp.regress().is_some() {
            self.touch(now);
        }
    }

    /// It is gone together with what is above it, which is so late.
    pub fn stamped_from_above(&mut self, now: Moment, above: Stamp) {
        self.stamp.raise(above);
        self.stamped(now, above.shown());
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
    /// speaks against it still does. Says whether there was such a hold.
    pub fn accept(&mut self, now: Moment) -> bool {
        let held = self.hold.as_ref().is_some_and(|hold| hold.reason.is_acceptable());
        if held {
            self.loss = None;
            self.baseline.restart(now, self.live.members().map_or(0, BTreeMap::len));
            self.stamp.believe();
            self.accepted = true;
        }
        held
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

    /// Judges what the registry shows, and takes it if it is good.
    ///
    /// `recalled` are the numbers that members had before the agent began.
    pub fn judge(&mut self, now: Moment, config: &RosterConfig, host: &str, recalled: Option<&Numbers>) -> Verdict {
        self.settle.clear();
        (self.judged, self.accepted) = (true, false);
        if let Some(reason) = self.objection(now, config) {
            let known = self.hold.take();
            let new = known.as_ref().is_none_or(|hold| !hold.reason.says_the_same_as(&reason));
            self.hold = Some(Hold { reason, since: known.map_or(now, |hold| hold.since) });
            return Verdict::Hold { new };
        }
        self.stamp.believe();
        let none = BTreeMap::new();
        let members = self.live.members().unwrap_or(&none);
        let taken = seats::pick(members, config.bounds.max(), config.pick, host);
        let seats = match (&self.good, recalled) {
            (Some(good), _) => seats::reseat(taken, good),
            (None, Some(recalled)) => seats::seat(taken, recalled),
            (None, None) => seats::seat(taken, &Numbers::new()),
        };
        let count = members.len();
        if self.loss.take().is_some_and(|loss| loss.until <= now) {
            self.baseline.restart(now, count);
        } else {
            self.baseline.record(now, count);
        }
        let changed = self.good.as_deref() != Some(&*seats);
        if changed {
            self.good = Some(seats);
        }
        Verdict::Admit { changed, released: self.hold.take().is_some() }
    }

    /// What speaks against the members that the registry shows.
    fn objection(&mut self, now: Moment, config: &RosterConfig) -> Option<Reason> {
        let (have, quarantined, absent) = match &self.live {
            Live::Unreadable(why) => return Some(Reason::Unreadable(Arc::clone(why))),
            Live::Unseen | Live::Absent => (0, 0, true),
            Live::Present(children) => (children.members().len(), children.unfit().len(), false),
        };
        if let Some(reason) = self.older().or_else(|| out_of_bounds(have, quarantined, absent, config)) {
            return Some(reason);
        }
        let percent = config.guard.max_shrink_percent;
        let from = self.baseline.refuses(now, have, percent)?;
        let until = match self.loss {
            // A further loss is held again.
            Some(Loss { to, until }) if have >= to => until,
            _ => now + config.guard.hold_max,
        };
        self.loss = Some(Loss { to: self.loss.map_or(have, |loss| loss.to.min(have)), until });
        (now < until).then_some(Reason::Shrunk { from, to: have, percent, until })
    }

    /// Its path is gone, and that is judged together with all others of its roster: until then it keeps what it has.
    pub fn rest(&mut self) {
        self.settle.clear();
        (self.judged, self.accepted) = (true, false);
        self.hold = None;
    }

    /// When the changes that were seen last are judged.
    pub fn settles(&self, config: &RosterConfig) -> Option<Moment> {
        self.settle.due(config.wait)
    }

    /// What the hold in force keeps back, if it is one that a person can end, and enough are left.
    pub fn withheld(&self, config: &RosterConfig) -> Option<Withheld> {
        let members = match &self.live {
            Live::Present(children) => children.members().clone(),
            Live::Absent => BTreeMap::new(),
            Live::Unseen | Live::Unreadable(_) => return None,
        };
        let ends = self.hold.as_ref().is_some_and(|hold| hold.reason.is_acceptable());
        (ends && members.len() >= config.bounds.min()).then(|| Withheld::new(members))
    }

    /// Whether the view is an older state than one that was seen, and lacks members that were good.
    fn older(&self) -> Option<Reason> {
        let (shown, highest) = self.stamp.regress()?;
        let good = self.good.as_deref()?;
        let members = self.live.members();
        let is_lost = |name: &str| members.is_none_or(|members| !members.contains_key(name));
        let lost = good.iter().filter(|seated| is_lost(seated.member.name())).count();
        (lost > 0).then_some(Reason::Older { lost, of: good.len(), shown, highest })
    }

    /// What to remember of the view that was just admitted; `nodes` is that view as the registry gave it.
    pub fn known(&self, nodes: Option<&Members>) -> Known {
        // What weighs the members is kept with them.
        let counts = |name| self.live.children().is_some_and(|children| children.counts(name));
        let kept = nodes.into_iter().flatten().filter(|(name, _)| counts(name));
        let kept = kept.filter_map(|(name, reading)| Some((name, reading.as_ref().ok()?)));
        Known::of(self.stamp.highest(), kept, self.good.as_deref().unwrap_or_default())
    }

    /// The last good members, if there were any.
    pub fn good(&self) -> Option<&Seats> {
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

    /// Whether the registry says that the path does not exist.
    pub fn is_absent(&self) -> bool {
        self.live == Live::Absent
    }
}

/// What the bounds have against so many members.
fn out_of_bounds(have: usize, quarantined: usize, absent: bool, config: &RosterConfig) -> Option<Reason> {
    let bounds = config.bounds;
    if have < bounds.min() {
        return Some(Reason::BelowMin { have, min: bounds.min(), quarantined, absent });
    }
    let max = bounds.max().filter(|max| bounds.above_max() == AboveMax::Hold && have > *max)?;
    Some(Reason::AboveMax { have, max })
}
