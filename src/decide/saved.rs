//! What is remembered of rosters and keys from one start to the next: the members that were last good, the numbers that
//! they had, and how late that was.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::guard::UnconfirmedLoss;
use super::moment::Moment;
use super::publication::SlottedMember;
use super::slots::{Numbers, ReservedSlots, RosterSlots};
use crate::model::registry_event::Bytes;
use crate::model::version::Zxid;

/// What is remembered, by the name of the roster or key.
pub type SavedState = BTreeMap<Arc<str>, SavedRoster>;

/// What is remembered of one roster or key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRoster {
    /// Where it is from.
    pub origin: Origin,
    /// By what its `*` matched, or by the empty string. A keyed roster has the node above its keys, and what their number
    /// is measured by, under the empty string, a `[[key]]` its data as its only member, which has no name.
    pub paths: BTreeMap<Arc<str>, SavedPath>,
    /// How long before the agent's start it was last confirmed; `None` where the clocks cannot tell.
    pub age: Option<Duration>,
}

/// Where something was seen: under another url, or at another path, it says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The registry's url.
    pub url: Arc<str>,
    /// The path, with its `*`.
    pub path: Arc<str>,
}

/// The last good view of one path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavedPath {
    /// How late it was.
    pub version: Option<Zxid>,
    /// Every valid member, whether it was picked or not, and nodes that weigh them.
    pub members: BTreeMap<Arc<str>, SavedMember>,
    /// What came before it, and what holds since.
    pub guard_history: GuardHistory,
}

/// How a path came to where it is: what later views are measured by. Moments of earlier processes lie before
/// [`Moment::START`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuardHistory {
    /// Falling numbers of members, each with the moment from which there were so many: the guard's baseline.
    pub sizes: Vec<(Moment, usize)>,
    /// The loss that is not believed yet.
    pub loss: Option<UnconfirmedLoss>,
    /// Since when a hold is in force.
    pub held: Option<Moment>,
    /// The numbers that are kept for members who left.
    pub reserved_slots: ReservedSlots,
}

/// One member, as it stood in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedMember {
    /// Its data.
    pub data: Bytes,
    /// Its number, where it was picked.
    pub slot: Option<u32>,
}

/// Something to remember: paths of one roster or key as they now are. What it does not name is as before, unless its
/// origin is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedUpdate {
    /// The roster's or key's name.
    pub name: Arc<str>,
    /// Where it is from.
    pub origin: Origin,
    /// Each path that was judged good; `None` for one that is gone.
    pub paths: BTreeMap<Arc<str>, Option<SavedPath>>,
    /// Each path that is held: how late a view was seen at the latest, and its guard_history. Of a path that was never good
    /// there is nothing to remember.
    pub held: BTreeMap<Arc<str>, (Option<Zxid>, GuardHistory)>,
}

impl SavedRoster {
    /// Nothing, from there.
    pub fn none(origin: Origin) -> Self {
        Self { origin, paths: BTreeMap::new(), age: None }
    }

    /// Takes in what was remembered since.
    pub fn take(&mut self, update: SavedUpdate) {
        if self.origin != update.origin {
            *self = Self::none(update.origin);
        }
        for (path, known) in update.paths {
            match known {
                Some(known) => _ = self.paths.insert(path, known),
                None => _ = self.paths.remove(&path),
            }
        }
        for (path, (version, guard_history)) in update.held {
            if let Some(known) = self.paths.get_mut(&path) {
                (known.version, known.guard_history) = (version, guard_history);
            }
        }
    }

    /// The numbers that members had. They are kept even where the members themselves say nothing any more: an ensemble
    /// that moved has the same members under another url.
    pub fn slots(&self) -> RosterSlots {
        let numbers = |known: &SavedPath| -> Numbers {
            known.members.iter().filter_map(|(name, kept)| Some((Arc::clone(name), kept.slot?))).collect()
        };
        self.paths.iter().map(|(path, known)| (Arc::clone(path), numbers(known))).collect()
    }
}

impl SavedPath {
    /// Valid members by name with their data, and the numbers of those that were picked.
    pub fn new<'a>(
        version: Option<Zxid>,
        members: impl Iterator<Item = (&'a Arc<str>, &'a Bytes)>,
        picked: &[SlottedMember],
        guard_history: GuardHistory,
    ) -> Self {
        let picked: HashMap<&str, u32> = picked.iter().map(|entry| (entry.member.name(), entry.slot)).collect();
        let members = members.map(|(name, data)| {
            (Arc::clone(name), SavedMember { data: Arc::clone(data), slot: picked.get(&**name).copied() })
        });
        Self { version, members: members.collect(), guard_history }
    }
}
