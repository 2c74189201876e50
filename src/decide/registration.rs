//! The nodes that the services of this host register in one registry: which one to write or delete next. Pure.
//!
//! What is wanted is compared with what is known of the registry, so that nothing depends on the order of events. Every
//! write is safe to repeat: it first looks at the node, and changes it only if a session of this agent owns it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::event::{Event, SessionNumber, seconds};
use super::moment::Moment;
use super::rate_limit::RateLimit;
use crate::model::backoff::{DISPUTE, RETRY};
use crate::model::registration::{NodeId, NodeSpec};

#[cfg(test)]
mod tests;

/// How many writes wait for the registry at once, so that an ensemble that is slow gets fewer of them.
const MAX_WRITES: usize = 64;

/// How many nodes are registered a second, after a burst: when a whole fleet registers again, the ensemble has time for
/// the pings that keep its sessions alive. Deletions are not limited, because clients wait for them.
const REGISTRATIONS_PER_SECOND: u32 = 200;

/// How many nodes are registered at once. Most hosts have fewer.
const BURST: u32 = 20;

/// A node that another client did not touch for this long counts as undisputed.
const UNDISPUTED: Duration = Duration::from_mins(10);

/// What is wanted of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// It is to be registered.
    Registered(Arc<NodeSpec>),
    /// It stays as it is: the health of its service is not known yet.
    Kept,
    /// It is to be deleted.
    Deleted,
}

/// What is wanted of each node, with its service.
pub type Wants = BTreeMap<NodeId, (Arc<str>, Want)>;

/// What a write found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The node was created.
    Created,
    /// The node was there, with this data.
    Unchanged,
    /// The node was there, and its data was set.
    Updated,
    /// The node of an earlier session of this agent was replaced.
    TakenOver(i64),
    /// The node belongs to this session of another client, or to none (0). It was not touched.
    Foreign(i64),
    /// The node is not there, or belongs to another client.
    Deleted,
    /// It failed, for this reason.
    Failed(String),
    /// The connection was lost: what was done is not known.
    Lost,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEffect {
    /// Register the node, unless another client has it.
    Write(Arc<NodeSpec>),
    /// Delete the node, if a session of this agent owns it.
    Delete(NodeId),
    /// Tell this.
    Emit(Event),
}

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeState {
    /// Nothing yet: it is written, or deleted, as soon as possible.
    Unknown,
    /// A write or a deletion waits for the registry. With `again`, another one follows.
    Writing {
        /// The node was changed, or something else is wanted, meanwhile.
        again: bool,
    },
    /// It is registered.
    Registered,
    /// Another client has it: this session, or none (0).
    Foreign(i64),
    /// The last write failed, for this reason.
    Failed(String),
    /// It is deleted.
    Deleted,
}

/// Why a node is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Something else is wanted, or the connection is a new one.
    Own,
    /// It was changed while nothing else was wanted.
    Change,
}

/// A node.
#[derive(Debug, Clone)]
pub struct Node {
    /// The service that registers it.
    pub service: Arc<str>,
    /// What is wanted.
    pub want: Want,
    /// What is known.
    pub state: NodeState,
    cause: Cause,
    /// It was registered in this session.
    was_registered: bool,
    /// How many writes failed in a row.
    failures: u32,
    /// The other client that was told of.
    told: Option<i64>,
    /// How often another client recently changed or deleted it, and when it last did.
    disputes: (u32, Moment),
    /// Not before this time.
    pause: Option<Moment>,
}

/// The nodes of one registry.
#[derive(Debug, Clone)]
pub struct Registrations {
    nodes: BTreeMap<NodeId, Node>,
    session: Option<i64>,
    /// Nothing is written before this time: after an outage, the hosts of a fleet do not all write at once.
    start: Moment,
    writes: usize,
    rate: RateLimit,
}

impl Registrations {
    /// The nodes that an earlier process registered, each with its service. They stay until something else is wanted.
    pub fn new(inherited: impl IntoIterator<Item = (NodeId, Arc<str>)>, now: Moment) -> Self {
        let node = |(id, service)| (id, Node::new(service, Want::Kept, now));
        let rate = RateLimit::new(REGISTRATIONS_PER_SECOND, BURST, now);
        Self { nodes: inherited.into_iter().map(node).collect(), session: None, start: now, writes: 0, rate }
    }

    /// Every node that was registered, or is to be.
    pub fn nodes(&self) -> &BTreeMap<NodeId, Node> {
        &self.nodes
    }

    /// Whether a session is connected.
    pub fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    /// Whether every node is deleted.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What is wanted now. Nodes that are not named are deleted.
    pub fn want(&mut self, now: Moment, mut wants: Wants) -> Vec<NodeEffect> {
        for (id, node) in &mut self.nodes {
            let want = match wants.remove(id) {
                Some((service, want)) => {
                    node.service = service;
                    want
                }
                None => Want::Deleted,
            };
            if node.want != want && !(want == Want::Kept && node.state == NodeState::Registered) {
                node.want = want;
                node.pause = None;
                node.look_again(Cause::Own);
            }
        }
        for (id, (service, want)) in wants {
            self.nodes.insert(id, Node::new(service, want, now));
        }
        self.tick(now)
    }

    /// A session is connected. Unless it is the one that was connected before, nothing is written before `start`.
    pub fn connected(&mut self, now: Moment, session: i64, is_resumed: bool, start: Moment) -> Vec<NodeEffect> {
        self.session = Some(session);
        self.start = if is_resumed { now } else { start };
        for node in self.nodes.values_mut() {
            node.was_registered &= is_resumed;
            node.pause = None;
            // Events of the time without a connection are lost.
            node.look_again(Cause::Own);
        }
        self.tick(now)
    }

    /// The connection was lost. The outcomes of writes still come.
    pub fn disconnected(&mut self) {
        self.session = None;
    }

    /// Another client, or this one, changed a node.
    pub fn changed(&mut self, now: Moment, id: &NodeId) -> Vec<NodeEffect> {
        if let Some(node) = self.nodes.get_mut(id) {
            let (disputes, last) = node.disputes;
            if now.since(last) > UNDISPUTED {
                node.disputes.0 = 0;
            }
            node.pause = (node.disputes.0 > 0).then(|| now + DISPUTE.pause(disputes));
            // During a write, it is that write that is heard.
            let is_own = matches!(node.state, NodeState::Writing { .. });
            node.look_again(if is_own { Cause::Own } else { Cause::Change });
        }
        self.tick(now)
    }

    /// A write or a deletion is done.
    pub fn done(&mut self, now: Moment, id: &NodeId, outcome: Outcome) -> Vec<NodeEffect> {
        self.writes = self.writes.saturating_sub(1);
        let mut effects = Vec::new();
        if let Some(node) = self.nodes.get_mut(id) {
            let again = node.state == NodeState::Writing { again: true };
            effects.extend(node.done(now, id, outcome).map(NodeEffect::Emit));
            if node.state == NodeState::Deleted && node.want == Want::Deleted && !again {
                self.nodes.remove(id);
            } else if again {
                node.state = NodeState::Unknown;
            }
        }
        effects.extend(self.tick(now));
        effects
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_wake(&self, now: Moment) -> Option<Moment> {
        self.session?;
        if self.start > now {
            return Some(self.start);
        }
        if self.writes >= MAX_WRITES {
            // The end of one is an event.
            return None;
        }
        let awaited = self.awaited();
        // A time that has just passed is returned, too: `tick` may have been called before it.
        let wake = |node: &Node| match &node.want {
            Want::Registered(_) => Some(node.pause.map_or(self.rate.opens(), |pause| pause.max(self.rate.opens()))),
            Want::Deleted if !awaited.contains(&node.service) => Some(node.pause.unwrap_or(self.start)),
            Want::Deleted | Want::Kept => None,
        };
        self.nodes.values().filter(|node| node.is_due()).filter_map(wake).min()
    }

    /// The writes and deletions that can start now.
    pub fn tick(&mut self, now: Moment) -> Vec<NodeEffect> {
        if self.session.is_none() || now < self.start {
            return Vec::new();
        }
        let awaited = self.awaited();
        let mut effects = Vec::new();
        for (id, node) in &mut self.nodes {
            if self.writes >= MAX_WRITES {
                break;
            }
            if !node.is_due() || node.pause.is_some_and(|pause| pause > now) {
                continue;
            }
            let effect = match &node.want {
                Want::Registered(spec) if self.rate.allows(now) => NodeEffect::Write(Arc::clone(spec)),
                Want::Registered(_) | Want::Kept => continue,
                Want::Deleted if awaited.contains(&node.service) => continue,
                Want::Deleted => NodeEffect::Delete(id.clone()),
            };
            node.state = NodeState::Writing { again: false };
            node.pause = None;
            self.writes += 1;
            effects.push(effect);
        }
        effects
    }

    /// The services whose node is being registered. A node of an earlier configuration stays until the new one of its
    /// service is there: make before break.
    fn awaited(&self) -> BTreeSet<Arc<str>> {
        let awaited = |node: &&Node| matches!(node.want, Want::Registered(_)) && !node.is_settled();
        self.nodes.values().filter(awaited).map(|node| Arc::clone(&node.service)).collect()
    }
}

impl Node {
    fn new(service: Arc<str>, want: Want, now: Moment) -> Self {
        Self {
            service,
            want,
            state: NodeState::Unknown,
            cause: Cause::Own,
            was_registered: false,
            failures: 0,
            told: None,
            disputes: (0, now),
            pause: None,
        }
    }

    /// Whether the last write tells what the registry has.
    fn is_settled(&self) -> bool {
        !matches!(self.state, NodeState::Unknown | NodeState::Writing { .. })
    }

    /// Whether a write or a deletion is to follow, after the pause if there is one.
    fn is_due(&self) -> bool {
        match self.state {
            NodeState::Unknown => true,
            NodeState::Failed(_) | NodeState::Foreign(_) => self.pause.is_some(),
            _ => false,
        }
    }

    fn look_again(&mut self, cause: Cause) {
        self.cause = cause;
        self.state = match self.state {
            NodeState::Writing { .. } => NodeState::Writing { again: true },
            _ => NodeState::Unknown,
        };
    }

    /// Records an outcome, and returns what there is to tell.
    fn done(&mut self, now: Moment, id: &NodeId, outcome: Outcome) -> Option<Event> {
        let (service, path) = (Arc::clone(&self.service), id.to_string());
        let was_registered = std::mem::replace(&mut self.was_registered, false);
        match outcome {
            Outcome::Lost => {
                self.was_registered = was_registered;
                self.state = NodeState::Unknown;
                None
            }
            Outcome::Failed(reason) => {
                self.failures = self.failures.saturating_add(1);
                let pause = RETRY.pause(self.failures);
                self.pause = Some(now + pause);
                self.state = NodeState::Failed(reason.clone());
                let event = Event::RegistrationFailed { service, path, reason, retry_in_s: seconds(pause) };
                (self.failures == 1).then_some(event)
            }
            Outcome::Foreign(owner) => {
                // The end of the other node is an event; this is for a node that becomes this agent's without one.
                self.pause = Some(now + DISPUTE.pause(u32::MAX));
                self.state = NodeState::Foreign(owner);
                let is_new = self.told.replace(owner) != Some(owner);
                is_new.then_some(Event::ForeignNode { service, path, owner: SessionNumber(owner) })
            }
            Outcome::Deleted => {
                self.state = NodeState::Deleted;
                was_registered.then_some(Event::Deregistered { service, path })
            }
            Outcome::Created | Outcome::Unchanged | Outcome::Updated | Outcome::TakenOver(_) => {
                let is_dispute = was_registered && self.cause == Cause::Change && outcome != Outcome::Unchanged;
                (self.state, self.was_registered) = (NodeState::Registered, true);
                (self.failures, self.told) = (0, None);
                if is_dispute {
                    self.disputes = (self.disputes.0.saturating_add(1), now);
                    let reason = if outcome == Outcome::Updated { "data overwritten" } else { "node deleted" };
                    return (self.disputes.0 == 1).then_some(Event::RegistrationDisputed { service, path, reason });
                }
                match outcome {
                    Outcome::TakenOver(owner) => Some(Event::TakenOver { service, path, owner: SessionNumber(owner) }),
                    Outcome::Updated => Some(Event::RegistrationUpdated { service, path }),
                    _ => (!was_registered).then_some(Event::Registered { service, path }),
                }
            }
        }
    }
}
