//! The members that a hold withholds, and whether they can be accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::publication::SlottedMember;
use super::slot_assignment;
use crate::config::RosterConfig;
use crate::model::member::Member;

/// The members that a registry shows and a hold withholds, with all their data.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeldMembers(BTreeMap<Arc<str>, Arc<Member>>);

/// The held view of a roster, by key. The key of a plain path is the empty string. `None` is a key whose node is gone,
/// unlike a key without members.
pub type HeldView = BTreeMap<Arc<str>, Option<HeldMembers>>;

impl HeldMembers {
    /// Creates it from members by name.
    pub fn new(members: BTreeMap<Arc<str>, Arc<Member>>) -> Self {
        Self(members)
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The change if these members replaced the known-good ones.
    pub fn outcome(&self, good: &[SlottedMember], config: &RosterConfig, host: &str) -> Change {
        let taken = slot_assignment::pick(&self.0, config.bounds.max(), config.pick, host);
        let taken: BTreeSet<&str> = taken.iter().map(|member| member.name()).collect();
        let known: BTreeSet<&str> = good.iter().map(|entry| entry.member.name()).collect();
        let without = |some: &BTreeSet<&str>, others| some.difference(others).map(|name| (*name).to_owned()).collect();
        Change { members: taken.len(), join: without(&taken, &known), leave: without(&known, &taken) }
    }
}

/// What accepting a held view would change for templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The number of members afterwards.
    pub members: usize,
    /// The names of the members that would be added.
    pub join: Vec<String>,
    /// The names of the members that would be removed.
    pub leave: Vec<String>,
}

/// Whether a roster's held view can be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// The roster is not held.
    NotHeld,
    /// The view is the one that was shown: [`Input::Accept`](super::Input::Accept) accepts it.
    AsShown,
    /// It cannot be accepted, with the reason.
    Refused(String),
}
