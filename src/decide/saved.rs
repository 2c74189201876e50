//! The saved state of rosters and keys: their last known-good members, with slots and versions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::guard::UnconfirmedLoss;
use super::moment::Moment;
use super::publication::SlottedMember;
use super::slots::{Numbers, ReservedSlots, RosterSlots};
use crate::model::registry_event::Bytes;
use crate::model::version::Zxid;

/// The saved state by roster or key name.
pub type SavedState = BTreeMap<Arc<str>, SavedRoster>;

/// The saved state of one roster or key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRoster {
    /// Its origin.
    pub origin: Origin,
    /// By key. The key of a plain path is the empty string. In a keyed roster, the empty string has the version of the
    /// parent node and the guard history of the keys. A `[[key]]` has its data as the only member, whose name is empty.
    pub paths: BTreeMap<Arc<str>, SavedPath>,
    /// How long before the start of the agent it was last confirmed; `None` if unknown.
    pub age: Option<Duration>,
}

/// The origin of saved state. It does not apply to another URL or path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The registry's URL.
    pub url: Arc<str>,
    /// The path, with its `*`.
    pub path: Arc<str>,
}

/// The last known-good view of one path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavedPath {
    /// Its version.
    pub version: Option<Zxid>,
    /// Every valid member, picked or not, and the nodes that give weights.
    pub members: BTreeMap<Arc<str>, SavedMember>,
    /// The history of the guard and of holds.
    pub guard_history: GuardHistory,
}

/// What later views are compared with. Moments of earlier runs lie before [`Moment::START`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuardHistory {
    /// The guard's baseline: falling numbers of members, each with its start.
    pub sizes: Vec<(Moment, usize)>,
    /// The loss that is not confirmed yet.
    pub loss: Option<UnconfirmedLoss>,
    /// The start of the current hold.
    pub held: Option<Moment>,
    /// The slots that are reserved for removed members.
    pub reserved_slots: ReservedSlots,
}

/// A member as stored in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedMember {
    /// Its data.
    pub data: Bytes,
    /// Its slot, if it was picked.
    pub slot: Option<u32>,
}

/// An update of saved state: the new state of some paths of one roster or key. The other paths stay as they are, unless
/// the origin differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedUpdate {
    /// The roster's or key's name.
    pub name: Arc<str>,
    /// Its origin.
    pub origin: Origin,
    /// Each admitted path; `None` if it is gone.
    pub paths: BTreeMap<Arc<str>, Option<SavedPath>>,
    /// Each held path: the highest version that was seen, and the guard history. A path that was never known-good is
    /// not saved.
    pub held: BTreeMap<Arc<str>, (Option<Zxid>, GuardHistory)>,
}

impl SavedRoster {
    /// Creates an empty state with this origin.
    pub fn none(origin: Origin) -> Self {
        Self { origin, paths: BTreeMap::new(), age: None }
    }

    /// Applies an update.
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

    /// The slots of the members. They apply even under another URL, because an ensemble that moved has the same
    /// members.
    pub fn slots(&self) -> RosterSlots {
        let numbers = |known: &SavedPath| -> Numbers {
            known.members.iter().filter_map(|(name, kept)| Some((Arc::clone(name), kept.slot?))).collect()
        };
        self.paths.iter().map(|(path, known)| (Arc::clone(path), numbers(known))).collect()
    }
}

impl SavedPath {
    /// Creates it from the valid members with their data, and the slots of the picked ones.
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
