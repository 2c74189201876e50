//! The members of one path: those that the registry shows, and those that were last good.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::guard::Baseline;
use super::hold::{Hold, Reason};
use super::member::{Member, Quarantine};
use super::moment::Moment;
use super::publication::Seats;
use super::seats;
use super::settle::Settle;
use super::slots::{self, Numbers};
use crate::config::{AboveMax, RosterConfig};
use crate::payload;
use crate::sighting::{Members, Reading, Seen};

/// What the registry shows now.
#[derive(Debug, Clone, PartialEq)]
enum Live {
    Absent,
    Unreadable(Arc<str>),
    Present { members: BTreeMap<Arc<str>, Arc<Member>>, unfit: BTreeMap<Arc<str>, Quarantine> },
}

/// The members of one path. A roster has one, or one for each key that its `*` matches.
#[derive(Debug, Clone)]
pub struct Muster {
    live: Live,
    good: Option<Seats>,
    hold: Option<Hold>,
    /// The mass loss that is not believed yet, whatever else holds meanwhile.
    loss: Option<Loss>,
    settle: Settle,
    baseline: Baseline,
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
        Self {
            live: read(seen, config, None),
            good: None,
            hold: None,
            loss: None,
            settle: Settle::default(),
            baseline: Baseline::default(),
        }
    }

    /// The whole path was read anew. Says whether that differs from what was known.
    pub fn reset(&mut self, now: Moment, seen: &Seen<Members>, config: &RosterConfig) {
        let before = match &self.live {
            Live::Present { members, .. } => Some(members),
            Live::Absent | Live::Unreadable(_) => None,
        };
        let live = read(seen, config, before);
        if live != self.live {
            self.live = live;
            self.settle.touch(now);
        }
    }

    /// A member joined or changed.
    pub fn put(&mut self, now: Moment, name: &Arc<str>, reading: &Reading, config: &RosterConfig) {
        let Live::Present { members, unfit } = &mut self.live else {
            return;
        };
        match payload::decode(config.payload, name, reading) {
            Ok(member) => {
                let same = members.get(name).is_some_and(|known| **known == member);
                if same && !unfit.contains_key(name) {
                    return;
                }
                unfit.remove(name);
                members.insert(Arc::clone(name), Arc::new(member));
            }
            Err(why) => {
                members.remove(name);
                unfit.insert(Arc::clone(name), why);
            }
        }
        self.settle.touch(now);
    }

    /// A member left.
    pub fn left(&mut self, now: Moment, name: &Arc<str>) {
        if let Live::Present { members, unfit } = &mut self.live
            && (members.remove(name).is_some() | unfit.remove(name).is_some())
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

    /// The registry is away, or something else makes a judgement of what was seen so far wrong.
    pub fn unsettle(&mut self) {
        self.settle.clear();
    }

    /// It has to be judged again although nothing was seen: the bounds changed, or the registry is back.
    pub fn touch(&mut self, now: Moment) {
        self.settle.touch(now);
    }

    /// When it is to be judged, if at all: when changes have settled, or when a hold ends by time.
    pub fn due(&self, config: &RosterConfig) -> Option<Moment> {
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
        if let Some(reason) = self.objection(now, config) {
            let known = self.hold.take();
            let new = known.as_ref().is_none_or(|hold| hold.reason != reason);
            self.hold = Some(Hold { reason, since: known.map_or(now, |hold| hold.since) });
            return Verdict::Hold { new };
        }
        let none = BTreeMap::new();
        let members = match &self.live {
            Live::Present { members, .. } => members,
            Live::Absent | Live::Unreadable(_) => &none,
        };
        let taken = seats::pick(members, config.bounds.max(), config.pick, host);
        let kept = match &self.good {
            Some(good) => slots::numbers(good),
            None => recalled.cloned().unwrap_or_default(),
        };
        let seats = seats::seat(taken, &kept);
        if self.loss.take().is_some_and(|loss| loss.until <= now) {
            self.baseline.restart(now, members.len());
        } else {
            self.baseline.record(now, members.len());
        }
        let changed = self.good.as_deref() != Some(&*seats);
        if changed {
            self.good = Some(seats);
        }
        Verdict::Admit { changed, released: self.hold.take().is_some() }
    }

    /// What speaks against the members that the registry shows.
    fn objection(&mut self, now: Moment, config: &RosterConfig) -> Option<Reason> {
        let bounds = config.bounds;
        let (have, quarantined, absent) = match &self.live {
            Live::Unreadable(why) => return Some(Reason::Unreadable(Arc::clone(why))),
            Live::Absent => (0, 0, true),
            Live::Present { members, unfit } => (members.len(), unfit.len(), false),
        };
        if have < bounds.min() {
            return Some(Reason::BelowMin { have, min: bounds.min(), quarantined, absent });
        }
        if let (Some(max), AboveMax::Hold) = (bounds.max(), bounds.above_max())
            && have > max
        {
            return Some(Reason::AboveMax { have, max });
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
        match &self.live {
            Live::Present { unfit, .. } => Some(unfit.iter()),
            Live::Absent | Live::Unreadable(_) => None,
        }
        .into_iter()
        .flatten()
    }

    /// Whether the registry says that the path does not exist.
    pub fn is_absent(&self) -> bool {
        self.live == Live::Absent
    }
}

/// Decodes a view. A member that is as before keeps its allocation, so that equal views compare fast.
fn read(seen: &Seen<Members>, config: &RosterConfig, before: Option<&BTreeMap<Arc<str>, Arc<Member>>>) -> Live {
    let nodes = match seen {
        Seen::Absent => return Live::Absent,
        Seen::Unreadable(why) => return Live::Unreadable(Arc::clone(why)),
        Seen::Present(nodes) => nodes,
    };
    let (mut members, mut unfit) = (BTreeMap::new(), BTreeMap::new());
    for (name, reading) in nodes {
        match payload::decode(config.payload, name, reading) {
            Ok(member) => {
                let kept = before.and_then(|before| before.get(name)).filter(|known| ***known == member);
                members.insert(Arc::clone(name), kept.map_or_else(|| Arc::new(member), Arc::clone));
            }
            Err(why) => {
                unfit.insert(Arc::clone(name), why);
            }
        }
    }
    Live::Present { members, unfit }
}
