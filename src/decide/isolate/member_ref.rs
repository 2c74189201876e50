//! References to members in a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::decide::publication::{RosterValue, SlottedMember, SlottedMembers, Snapshot};

/// A roster, and the key if its path has a `*`.
pub type ListRef = (Arc<str>, Option<Arc<str>>);

/// The member lists in a snapshot.
pub type Lists<'a> = BTreeMap<ListRef, &'a SlottedMembers>;

/// A reference to a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberRef {
    /// The roster's name.
    pub roster: Arc<str>,
    /// The key, if the roster's path has a `*`.
    pub key: Option<Arc<str>>,
    /// The member's name.
    pub member: Arc<str>,
}

impl MemberRef {
    pub fn place(&self) -> ListRef {
        (Arc::clone(&self.roster), self.key.clone())
    }

    /// The member that it refers to.
    pub fn find<'a>(&self, lists: &Lists<'a>) -> Option<&'a SlottedMember> {
        lists.get(&self.place())?.iter().find(|entry| entry.member.name() == &*self.member)
    }
}

impl fmt::Display for MemberRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{} of {}[{key}]", self.member, self.roster),
            None => write!(f, "{} of {}", self.member, self.roster),
        }
    }
}

/// All lists in a snapshot. `each` is the roster of the snapshot's own key, if it has one.
pub fn lists<'a>(snapshot: &'a Snapshot, each: Option<&Arc<str>>) -> Lists<'a> {
    let mut all = Lists::new();
    for (name, value) in &snapshot.rosters {
        match value {
            RosterValue::List(slotted) => _ = all.insert((Arc::clone(name), None), slotted),
            RosterValue::Map(keys) => {
                all.extend(keys.iter().map(|(key, slotted)| ((Arc::clone(name), Some(Arc::clone(key))), slotted)));
            }
        }
    }
    if let (Some((key, slotted)), Some(each)) = (&snapshot.own, each) {
        all.insert((Arc::clone(each), Some(Arc::clone(key))), slotted);
    }
    all
}

/// The snapshot without some members. The others keep their slots, and unaffected lists stay shared.
pub fn without(snapshot: &Snapshot, each: Option<&Arc<str>>, gone: &BTreeSet<&MemberRef>) -> Snapshot {
    let mut names: BTreeMap<ListRef, BTreeSet<&str>> = BTreeMap::new();
    for member_ref in gone {
        names.entry(member_ref.place()).or_default().insert(&member_ref.member);
    }
    let stay = |roster: &Arc<str>, key: Option<&Arc<str>>, slotted: &SlottedMembers| -> SlottedMembers {
        match names.get(&(Arc::clone(roster), key.cloned())) {
            Some(gone) => slotted.iter().filter(|entry| !gone.contains(entry.member.name())).cloned().collect(),
            None => Arc::clone(slotted),
        }
    };
    let rosters = snapshot.rosters.iter().map(|(name, value)| {
        let value = match value {
            RosterValue::List(slotted) => RosterValue::List(stay(name, None, slotted)),
            RosterValue::Map(keys) => {
                let keys = keys.iter().map(|(key, slotted)| (Arc::clone(key), stay(name, Some(key), slotted)));
                RosterValue::Map(keys.collect())
            }
        };
        (Arc::clone(name), value)
    });
    let own = snapshot.own.as_ref().map(|(key, slotted)| {
        let slotted = each.map_or_else(|| Arc::clone(slotted), |each| stay(each, Some(key), slotted));
        (Arc::clone(key), slotted)
    });
    Snapshot { rosters: rosters.collect(), keys: snapshot.keys.clone(), own }
}

/// A list of which too many members would be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverLimit {
    pub place: ListRef,
    out: usize,
    total: usize,
    min: usize,
}

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place: (roster, _), out, total, min } = self;
        write!(
            f,
            "no member is left out: the file fails with {out} or more of the {total} members of {roster}; at most half \
             can be left out, and at least {min} must remain"
        )
    }
}

/// The lists that would lose more than half of their members, or so many that fewer than `min` remain.
pub fn over_limit<'a>(
    lists: &Lists<'_>,
    out: impl Iterator<Item = &'a MemberRef>,
    min: impl Fn(&str) -> usize,
) -> Vec<OverLimit> {
    let mut counts: BTreeMap<ListRef, usize> = BTreeMap::new();
    for member_ref in out {
        *counts.entry(member_ref.place()).or_default() += 1;
    }
    let over = counts.into_iter().filter_map(|(place, out)| {
        let total = lists.get(&place).map_or(0, |slotted| slotted.len());
        let min = min(&place.0);
        (out > total / 2 || total.saturating_sub(out) < min).then_some(OverLimit { place, out, total, min })
    });
    over.collect()
}
