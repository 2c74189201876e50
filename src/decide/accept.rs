//! What a hold keeps back, and whether a person may let it through.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::publication::SlottedMember;
use super::slot_assignment;
use crate::config::RosterConfig;
use crate::model::member::Member;

/// The members that a registry shows and a hold keeps back, all of them, with all that is known of each: the next view
/// of the same path is another one if it differs in anything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeldMembers(BTreeMap<Arc<str>, Arc<Member>>);

/// What was shown to a person of one roster, by what its `*` matched, or by the empty string; `None` for a key that is
/// itself gone, which is more than one without members.
pub type HeldView = BTreeMap<Arc<str>, Option<HeldMembers>>;

impl HeldMembers {
    /// These members.
    pub fn new(members: BTreeMap<Arc<str>, Arc<Member>>) -> Self {
        Self(members)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What would be taken of them if they were let through in place of the last good ones.
    pub fn outcome(&self, good: &[SlottedMember], config: &RosterConfig, host: &str) -> Change {
        let taken = slot_assignment::pick(&self.0, config.bounds.max(), config.pick, host);
        let taken: BTreeSet<&str> = taken.iter().map(|member| member.name()).collect();
        let known: BTreeSet<&str> = good.iter().map(|entry| entry.member.name()).collect();
        let without = |some: &BTreeSet<&str>, others| some.difference(others).map(|name| (*name).to_owned()).collect();
        Change { members: taken.len(), join: without(&taken, &known), leave: without(&known, &taken) }
    }
}

/// What letting members through would change for templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How many members there would be.
    pub members: usize,
    /// Who would come, by name.
    pub join: Vec<String>,
    /// Who would go, by name.
    pub leave: Vec<String>,
}

/// Whether what a roster keeps back may be let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// Nothing is kept back.
    NotHeld,
    /// It is what was shown: [`Input::Accept`](super::Input::Accept) lets it through.
    AsShown,
    /// It is not, or nothing may let it through; in words.
    Refused(String),
}
