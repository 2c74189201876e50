//! The children of one path, all read by one format.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::serverset::{Vector, Weights};
use super::{Child, Format, Payload, auto, decode};
use crate::model::member::Member;
use crate::model::quarantine::Quarantine;
use crate::model::registry_event::{Members, Reading};

#[cfg(test)]
mod tests;

/// The children of one path: its members, and the nodes that are left out. Nodes that are neither are nobody's concern.
///
/// What `auto` has chosen stays, whatever joins later: a member that does not fit is left out, and never makes the
/// others be read anew.
#[derive(Debug, Clone, PartialEq)]
pub struct Children {
    payload: Payload,
    reader: Reader,
    members: BTreeMap<Arc<str>, Arc<Member>>,
    unfit: BTreeMap<Arc<str>, Quarantine>,
    vectors: BTreeMap<Arc<str>, Vector>,
    /// What those say in all.
    weights: Weights,
}

/// What a node that came, changed or left makes different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Nothing.
    None,
    /// What that node is.
    Node,
    /// It may be any member: the node said what they weigh, or what all are read by.
    All,
}

/// What the nodes are read by.
#[derive(Debug, Clone, PartialEq)]
enum Reader {
    /// One format, for good.
    Format(Format),
    /// [`auto::FALLBACK`], until a node speaks for a format; the nodes so far are kept to be read by that then.
    Undecided(Members),
}

impl Children {
    /// Reads the nodes of a path. `chosen` is what `auto` chose for it before. A member that is as in `before` keeps
    /// its allocation, so that equal views compare fast.
    #[must_use]
    pub fn read(payload: &Payload, chosen: Option<&Format>, nodes: &Members, before: Option<&Self>) -> Self {
        let format = match payload {
            Payload::As(format) => Some(format.clone()),
            Payload::Auto => chosen.cloned().or_else(|| auto::choose(nodes)),
        };
        let mut children = Self {
            payload: payload.clone(),
            reader: format.map_or_else(|| Reader::Undecided(Members::new()), Reader::Format),
            members: BTreeMap::new(),
            unfit: BTreeMap::new(),
            vectors: BTreeMap::new(),
            weights: Weights::default(),
        };
        for (name, reading) in nodes {
            children.take(name, reading);
        }
        children.weigh();
        if let Some(before) = before {
            for (name, member) in &mut children.members {
                if let Some(known) = before.members.get(name).filter(|known| *known == member) {
                    *member = Arc::clone(known);
                }
            }
        }
        children
    }

    /// A node joined or changed.
    pub fn put(&mut self, name: &Arc<str>, reading: &Reading) -> Difference {
        if let Reader::Undecided(nodes) = &mut self.reader
            && let Some(format) = auto::look(name, reading)
        {
            nodes.insert(Arc::clone(name), reading.clone());
            let nodes = std::mem::take(nodes);
            *self = Self::read(&self.payload, Some(&format), &nodes, Some(self));
            return Difference::All;
        }
        let before = (self.members.remove(name), self.unfit.remove(name), self.vectors.remove(name));
        self.take(name, reading);
        if before.2.as_ref() != self.vectors.get(name) {
            self.weigh();
            return Difference::All;
        }
        self.weigh_one(name);
        let (member, unfit) = (self.members.get_mut(name), self.unfit.get(name));
        if let (Some(member), Some(known)) = (member, &before.0)
            && member == known
        {
            *member = Arc::clone(known);
            return Difference::None;
        }
        if before.0.as_ref() == self.members.get(name) && before.1.as_ref() == unfit {
            Difference::None
        } else {
            Difference::Node
        }
    }

    /// A node left.
    pub fn remove(&mut self, name: &Arc<str>) -> Difference {
        if let Reader::Undecided(nodes) = &mut self.reader {
            nodes.remove(name);
        }
        if self.vectors.remove(name).is_some() {
            self.weigh();
            return Difference::All;
        }
        if self.members.remove(name).is_some() | self.unfit.remove(name).is_some() {
            Difference::Node
        } else {
            Difference::None
        }
    }

    /// The members by the names of their nodes.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<Arc<str>, Arc<Member>> {
        &self.members
    }

    /// The nodes that are left out, with the reason.
    #[must_use]
    pub fn unfit(&self) -> &BTreeMap<Arc<str>, Quarantine> {
        &self.unfit
    }

    /// Whether a node is a member, or says something of some.
    #[must_use]
    pub fn counts(&self, name: &str) -> bool {
        self.members.contains_key(name) || self.vectors.contains_key(name)
    }

    /// What `auto` has chosen, if it was to choose.
    #[must_use]
    pub fn chosen(&self) -> Option<&Format> {
        match (&self.payload, &self.reader) {
            (Payload::Auto, Reader::Format(format)) => Some(format),
            _ => None,
        }
    }

    /// What the nodes are read by now.
    #[must_use]
    pub fn format(&self) -> &Format {
        match &self.reader {
            Reader::Format(format) => format,
            Reader::Undecided(_) => &auto::FALLBACK,
        }
    }

    /// Puts a node where it belongs; it is nowhere yet.
    fn take(&mut self, name: &Arc<str>, reading: &Reading) {
        if let Reader::Undecided(nodes) = &mut self.reader {
            nodes.insert(Arc::clone(name), reading.clone());
        }
        match decode(self.format(), name, reading) {
            Ok(Child::Member(member)) => _ = self.members.insert(Arc::clone(name), Arc::new(member)),
            Ok(Child::Vector(vector)) => _ = self.vectors.insert(Arc::clone(name), vector),
            Ok(Child::Other) => {}
            Err(why) => _ = self.unfit.insert(Arc::clone(name), why),
        }
    }

    /// Weighs every member by the vectors that there are.
    fn weigh(&mut self) {
        if !matches!(self.format(), Format::Serverset | Format::ServersetAll) {
            return;
        }
        self.weights = Weights::of(self.vectors.values());
        for member in self.members.values_mut() {
            weigh(member, &self.weights);
        }
    }

    fn weigh_one(&mut self, name: &Arc<str>) {
        if let Some(member) = self.members.get_mut(name).filter(|_| !self.vectors.is_empty()) {
            weigh(member, &self.weights);
        }
    }
}

/// Sets a member's weight to the product of what the vectors say of it.
fn weigh(member: &mut Arc<Member>, weights: &Weights) {
    let weight = Some(weights.weighs(member.fields())).filter(|weight| weight.is_finite());
    if member.fields().weight != weight {
        *member = Arc::new(member.with_weight(weight));
    }
}
