//! The children of one path, all read by one format.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::serverset::{Vector, Weights};
use super::{Child, Format, Payload, auto, decode};
use crate::decide::{Member, Quarantine};
use crate::sighting::{Members, Reading};

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
        *member = Arc::new(member.weighing(weight));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(list: &[(&str, &str)]) -> Members {
        list.iter().map(|(name, data)| (Arc::from(*name), Ok(Arc::from(data.as_bytes())))).collect()
    }

    fn put(children: &mut Children, name: &str, data: &str) -> bool {
        children.put(&Arc::from(name), &Ok(Arc::from(data.as_bytes()))) != Difference::None
    }

    fn remove(children: &mut Children, name: &str) -> bool {
        children.remove(&Arc::from(name)) != Difference::None
    }

    fn auto(list: &[(&str, &str)]) -> Children {
        Children::read(&Payload::Auto, None, &nodes(list), None)
    }

    fn weights(children: &Children) -> Vec<f64> {
        children.members().values().map(|member| member.fields().weight.unwrap()).collect()
    }

    const ALIVE: &str = r#"{"serviceEndpoint":{"host":"a","port":1},"status":"ALIVE"}"#;
    const DEAD: &str = r#"{"serviceEndpoint":{"host":"a","port":1},"status":"DEAD"}"#;
    const HALF: &str = r#"{"vector":[{"select":"member=member_1","weight":0.5}]}"#;

    #[test]
    fn one_node_that_cannot_be_read_hides_no_other() {
        let list = [("1", r#"{"host":"a","port":1}"#), ("2", "{broken"), ("3", r#"{"host":"c","port":3}"#)];
        let children = Children::read(&Format::Kafka.into(), None, &nodes(&list), None);
        assert_eq!(children.members().keys().map(|name| &**name).collect::<Vec<_>>(), ["1", "3"]);
        assert_eq!(children.unfit().keys().map(|name| &**name).collect::<Vec<_>>(), ["2"]);
    }

    #[test]
    fn what_was_chosen_stays() {
        let nerve = r#"{"host":"a","port":1}"#;
        let mut children = auto(&[("h:1", "")]);
        assert_eq!(children.chosen(), Some(&Format::Nextdoor));
        for number in 1..9 {
            assert!(put(&mut children, &format!("i_{number}"), nerve));
        }
        assert_eq!(children.chosen(), Some(&Format::Nextdoor));
        assert_eq!(children.members().len(), 9);
        let again = Children::read(&Payload::Auto, children.chosen(), &nodes(&[("i_1", nerve)]), Some(&children));
        assert_eq!(again.chosen(), Some(&Format::Nextdoor));
    }

    #[test]
    fn while_nothing_is_told_nothing_is_chosen() {
        let mut children = auto(&[("web1", ""), ("web2", "x")]);
        assert_eq!((children.chosen(), children.format(), children.members().len()), (None, &Format::Nextdoor, 2));
        assert!(put(&mut children, "web3", ""));
        assert!(remove(&mut children, "web1"));
        assert!(put(&mut children, "1", r#"{"host":"k","port":1,"jmx_port":-1,"version":5}"#));
        assert_eq!(children.chosen(), Some(&Format::Kafka));
        assert_eq!(children.members().keys().map(|name| &**name).collect::<Vec<_>>(), ["1"]);
        assert_eq!(children.unfit().keys().map(|name| &**name).collect::<Vec<_>>(), ["web2", "web3"]);
    }

    #[test]
    fn only_what_differs_makes_a_difference() {
        let mut children = auto(&[("h:1", "{}"), ("h:2", "")]);
        let kept = Arc::clone(&children.members()["h:1"]);
        let name: Arc<str> = "h:1".into();
        assert!(!put(&mut children, &name, "{ }"));
        assert!(Arc::ptr_eq(&kept, &children.members()["h:1"]));
        assert!(put(&mut children, &name, r#"{"a":1}"#));
        assert!(put(&mut children, &name, r#"{"a":"\n"}"#));
        assert!(!put(&mut children, &name, r#"{"a":"\n"}"#));
        assert_eq!((children.members().len(), children.unfit().len()), (1, 1));
        assert!(remove(&mut children, &name));
        assert!(!remove(&mut children, &name));
        let again = Children::read(&Payload::Auto, None, &nodes(&[("h:2", "")]), Some(&children));
        assert!(Arc::ptr_eq(&again.members()["h:2"], &children.members()["h:2"]));
    }

    #[test]
    fn vectors_weigh_members_whenever_they_come() {
        let vector: Arc<str> = "vector_1".into();
        let mut children = auto(&[("member_1", ALIVE), ("member_2", ALIVE), ("member_3", DEAD), ("lock", "")]);
        assert_eq!((weights(&children), children.unfit().len()), (vec![1.0, 1.0], 0));
        assert!(put(&mut children, &vector, HALF));
        assert!(!put(&mut children, &vector, HALF));
        assert_eq!(weights(&children), [0.5, 1.0]);
        assert!(!put(&mut children, "member_1", ALIVE));
        assert!(!put(&mut children, "lock", "x"));
        assert!(put(&mut children, "member_1", DEAD));
        assert!(put(&mut children, "member_1", ALIVE));
        assert_eq!(weights(&children), [0.5, 1.0]);
        let list = [("member_1", ALIVE), ("member_2", ALIVE), ("vector_1", HALF), ("vector_2", HALF)];
        assert_eq!(weights(&auto(&list)), [0.25, 1.0]);
        assert!(put(&mut children, &vector, "{"));
        assert_eq!((weights(&children), children.unfit().len()), (vec![1.0, 1.0], 1));
        assert!(put(&mut children, &vector, HALF));
        assert!(remove(&mut children, &vector));
        assert_eq!(weights(&children), [1.0, 1.0]);
    }

    #[test]
    fn many_members_and_many_vectors_cost_no_more_than_both() {
        let factors = vec![r#"{"select":"inet=a:1","weight":1.0}"#; 1500].join(",");
        let all = (0..250).flat_map(|number| {
            let vector = format!(r#"{{"vector":[{factors},{{"select":"member=member_{number}","weight":0.5}}]}}"#);
            [(format!("vector_{number}"), vector)]
        });
        let members = (0..9_000).map(|number| (format!("member_{number}"), ALIVE.to_owned()));
        let all = all.chain(members).map(|(name, data)| (Arc::from(name), Ok(Arc::from(data.into_bytes()))));
        let all: Members = all.collect();
        let began = std::time::Instant::now();
        let mut children = Children::read(&Format::Serverset.into(), None, &all, None);
        assert_eq!(weights(&children).iter().filter(|weight| **weight < 1.0).count(), 250);
        assert!(put(&mut children, "vector_0", "{}"));
        assert_eq!(weights(&children).iter().filter(|weight| **weight < 1.0).count(), 249);
        // Looking at each vector for each member takes many minutes.
        assert!(began.elapsed() < std::time::Duration::from_mins(1), "{:?}", began.elapsed());
    }
}
