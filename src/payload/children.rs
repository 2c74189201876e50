//! The children of one path, decoded with one format.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::nextdoor::data_error;
use super::serverset::{Vector, Weights};
use super::{DecodedNode, Format, NotAMember, Payload, auto, decode_child};
use crate::model::member::Member;
use crate::model::quarantine::Quarantine;
use crate::model::registry_event::{Members, Reading};

#[cfg(test)]
mod tests;

/// The decoded children of one path: members, quarantined nodes, weight vectors, and nodes that are not members. Other
/// nodes are ignored.
///
/// A detected format does not change, whatever joins later: a node that does not fit is quarantined, and the others are
/// not decoded again.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedChildren {
    payload: Payload,
    reader: Reader,
    members: BTreeMap<Arc<str>, Arc<Member>>,
    quarantined: BTreeMap<Arc<str>, Quarantine>,
    not_members: BTreeMap<Arc<str>, NotAMember>,
    vectors: BTreeMap<Arc<str>, Vector>,
    /// The product of all vectors.
    weights: Weights,
}

/// What a change of one node affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Nothing.
    None,
    /// That node only.
    Node,
    /// Possibly every member: the weights or the format changed.
    All,
}

/// How nodes are decoded.
#[derive(Debug, Clone, PartialEq)]
enum Reader {
    /// The format is known.
    Format(Format),
    /// [`auto::FALLBACK`], until a node indicates a format. The nodes are kept, to be decoded again then.
    Undecided(Members),
}

impl DecodedChildren {
    /// Decodes the nodes of a path. `chosen` is the format detected earlier. A member that equals the one in `before`
    /// keeps its allocation, so that equal views compare fast.
    #[must_use]
    pub fn read(payload: &Payload, chosen: Option<&Format>, nodes: &Members, before: Option<&Self>) -> Self {
        let format = payload.format.as_ref().or(chosen).cloned().or_else(|| auto::detect(nodes));
        let mut children = Self {
            payload: payload.clone(),
            reader: format.map_or_else(|| Reader::Undecided(Members::new()), Reader::Format),
            members: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            not_members: BTreeMap::new(),
            vectors: BTreeMap::new(),
            weights: Weights::default(),
        };
        for (name, reading) in nodes {
            children.insert(name, reading);
        }
        children.apply_weights();
        if let Some(before) = before {
            for (name, member) in &mut children.members {
                if let Some(known) = before.members.get(name).filter(|known| *known == member) {
                    *member = Arc::clone(known);
                }
            }
        }
        children
    }

    /// Decodes a node that joined or changed.
    pub fn put(&mut self, name: &Arc<str>, reading: &Reading) -> Difference {
        if let Reader::Undecided(nodes) = &mut self.reader
            && let Some(format) = auto::detect_node(name, reading)
        {
            nodes.insert(Arc::clone(name), reading.clone());
            let nodes = std::mem::take(nodes);
            *self = Self::read(&self.payload, Some(&format), &nodes, Some(self));
            return Difference::All;
        }
        let (known, vector) = (self.members.remove(name), self.vectors.remove(name));
        let left_out = (self.quarantined.remove(name), self.not_members.remove(name));
        self.insert(name, reading);
        if vector.as_ref() != self.vectors.get(name) {
            self.apply_weights();
            return Difference::All;
        }
        self.apply_weight(name);
        if let (Some(member), Some(known)) = (self.members.get_mut(name), &known)
            && member == known
        {
            *member = Arc::clone(known);
            return Difference::None;
        }
        let now = (self.quarantined.get(name), self.not_members.get(name));
        if known.as_ref() == self.members.get(name) && (left_out.0.as_ref(), left_out.1.as_ref()) == now {
            Difference::None
        } else {
            Difference::Node
        }
    }

    /// Removes a node.
    pub fn remove(&mut self, name: &Arc<str>) -> Difference {
        if let Reader::Undecided(nodes) = &mut self.reader {
            nodes.remove(name);
        }
        if self.vectors.remove(name).is_some() {
            self.apply_weights();
            return Difference::All;
        }
        let is_left_out = self.quarantined.remove(name).is_some() | self.not_members.remove(name).is_some();
        if self.members.remove(name).is_some() || is_left_out { Difference::Node } else { Difference::None }
    }

    /// The members, by node name.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<Arc<str>, Arc<Member>> {
        &self.members
    }

    /// The quarantined nodes, with the reason.
    #[must_use]
    pub fn quarantined(&self) -> &BTreeMap<Arc<str>, Quarantine> {
        &self.quarantined
    }

    /// The nodes that are not members, with the reason.
    #[must_use]
    pub fn not_members(&self) -> &BTreeMap<Arc<str>, NotAMember> {
        &self.not_members
    }

    /// The members whose data is no JSON although it begins so. With `every_child` it may be any text.
    pub fn data_errors(&self) -> impl Iterator<Item = (&Arc<str>, Quarantine)> {
        let members = self.members.iter().filter(|_| !self.payload.every_child);
        members.filter_map(|(name, member)| Some((name, data_error(member)?)))
    }

    /// Whether there are children, and none of them concerns members.
    #[must_use]
    pub fn has_only_non_members(&self) -> bool {
        !self.not_members.is_empty()
            && self.members.is_empty()
            && self.quarantined.is_empty()
            && self.vectors.is_empty()
    }

    /// Whether the node is a member or a weight vector.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.members.contains_key(name) || self.vectors.contains_key(name)
    }

    /// The detected format; `None` unless `payload = "auto"` has detected one.
    #[must_use]
    pub fn chosen(&self) -> Option<&Format> {
        match (&self.payload.format, &self.reader) {
            (None, Reader::Format(format)) => Some(format),
            _ => None,
        }
    }

    /// The format in use.
    #[must_use]
    pub fn format(&self) -> &Format {
        match &self.reader {
            Reader::Format(format) => format,
            Reader::Undecided(_) => &auto::FALLBACK,
        }
    }

    /// Decodes a node and stores it. No earlier version of it may be stored.
    fn insert(&mut self, name: &Arc<str>, reading: &Reading) {
        if let Reader::Undecided(nodes) = &mut self.reader {
            nodes.insert(Arc::clone(name), reading.clone());
        }
        match decode_child(&self.payload, self.format(), name, reading) {
            Ok(DecodedNode::Member(member)) => _ = self.members.insert(Arc::clone(name), Arc::new(member)),
            Ok(DecodedNode::Vector(vector)) => _ = self.vectors.insert(Arc::clone(name), vector),
            Ok(DecodedNode::Other) => {}
            Ok(DecodedNode::NotAMember(why)) => _ = self.not_members.insert(Arc::clone(name), why),
            Err(why) => _ = self.quarantined.insert(Arc::clone(name), why),
        }
    }

    /// Recomputes the weights of all members.
    fn apply_weights(&mut self) {
        if !matches!(self.format(), Format::Serverset | Format::ServersetAll) {
            return;
        }
        self.weights = Weights::new(self.vectors.values());
        for member in self.members.values_mut() {
            set_weight(member, &self.weights);
        }
    }

    fn apply_weight(&mut self, name: &Arc<str>) {
        if let Some(member) = self.members.get_mut(name).filter(|_| !self.vectors.is_empty()) {
            set_weight(member, &self.weights);
        }
    }
}

/// Sets the weight of a member to the product of the factors that apply to it.
fn set_weight(member: &mut Arc<Member>, weights: &Weights) {
    let weight = Some(weights.factor(member.fields())).filter(|weight| weight.is_finite());
    if member.fields().weight != weight {
        *member = Arc::new(member.with_weight(weight));
    }
}
