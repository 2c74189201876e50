//! One contender for a lock in ZooKeeper, beside contenders of kazoo (`kazoo/recipe/lock.py` in 2.11): which request to
//! send next, and whether it holds the lock. Pure.
//!
//! As kazoo's `WriteLock`, it waits for every contender with a lower number, and watches only the next lower one. On a
//! path that only kazoo's `Lock` uses, that is the same as `Lock`. It differs from kazoo in these points:
//!
//! - When the outcome of a create is not known, it looks for its node after a `sync`. Another server may not have the node
//!   yet, and a second one would stay in the line.
//! - It watches its own node while it holds the lock, and reads the line again after each reconnect.
//! - The names of its nodes start with the session and the identifier. So a node of an expired session, which the server
//!   has not deleted yet, counts as another contender, and a process that resumes the session of an earlier one finds the
//!   node of that one, which lives as long as the session.

use std::sync::Arc;
use std::time::Duration;

use super::moment::Moment;
use crate::model::backoff::RETRY;
use crate::model::contenders::{self, EXCLUSIVE};

#[cfg(test)]
mod tests;

/// How many digits of a name stand for the session.
const SESSION: usize = 16;

/// A request. Names are those of children of the lock's node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Create the lock's node, and what is missing above it: persistent, and without data.
    CreateParents,
    /// Create an ephemeral sequential node with this prefix. Its data is the identifier.
    Create {
        /// What stands before the number.
        prefix: String,
    },
    /// List the children of the lock's node.
    List {
        /// After a `sync`, so that nothing is missing that another server has acknowledged.
        synced: bool,
    },
    /// Read a node, with a watch that is passed to [`Contender::changed`].
    Watch {
        /// The node.
        node: String,
        /// The first node in the line, whose data is wanted, too: the identifier of the holder.
        holder: Option<String>,
    },
    /// Delete a node.
    Delete {
        /// The node.
        node: String,
    },
}

/// What a server replied to a request. A lost connection is no reply: see [`Contender::disconnected`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A node was created with this name.
    Created(String),
    /// The names of the children.
    Listed(Vec<String>),
    /// The node is watched, and this is the identifier of the holder, if it was asked for and is still there.
    Watched(Option<Arc<str>>),
    /// The node was deleted, or the parents are there.
    Done,
    /// The node to be watched, deleted or listed, or the parent of the one to be created, does not exist.
    NoNode,
    /// The server refuses, for this reason.
    Failed(String),
}

/// Why a held lock was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The session expired, and its nodes with it.
    SessionExpired,
    /// Another client deleted the node.
    NodeDeleted,
}

/// Where the contender stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is not known to be in the line.
    Absent,
    /// It is in the line.
    Waiting {
        /// How many contenders are before it; at least 1.
        ahead: usize,
        /// The identifier of the first one when the line was read last. The change of it is not watched.
        holder: Option<Arc<str>>,
    },
    /// It holds the lock.
    Held,
    /// It held the lock when the connection was lost. It still does unless the session expires.
    Suspended,
    /// It held the lock, and another may hold it now. It contends again.
    Lost(Loss),
    /// It has left the line for good.
    Released,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockEffect {
    /// Send this request, and pass on its reply. There is never more than one.
    Send(Request),
    /// The standing is another one.
    Changed(Standing),
    /// A request failed for this reason, and is repeated after this time.
    Failed(String, Duration),
}

/// What is known of the contender's node.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// It does not exist.
    Absent,
    /// Neither does its parent.
    NoParents,
    /// It may exist.
    Unknown,
    /// It exists with this name, and the line is to be read.
    Unread(String),
    /// The line was read, and a node in it is to be watched.
    Unwatched(String, Place),
    /// That node is watched.
    Watched(String),
}

/// The place in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The first.
    First,
    /// Another one.
    Behind { ahead: usize, next: String, holder: String },
}

/// One contender.
#[derive(Debug, Clone)]
pub struct Contender {
    session: Option<i64>,
    is_connected: bool,
    /// What the names of its nodes in this session start with. Those of another identifier differ after [`SESSION`] digits.
    prefix: String,
    phase: Phase,
    standing: Standing,
    /// Nodes of its own that are too many.
    extra: Vec<String>,
    in_flight: Option<Request>,
    /// The line changed since the request was sent.
    is_changed: bool,
    is_leaving: bool,
    failures: u32,
    retry_at: Option<Moment>,
}

impl Default for Contender {
    fn default() -> Self {
        Self {
            session: None,
            is_connected: false,
            prefix: String::new(),
            phase: Phase::Absent,
            standing: Standing::Absent,
            extra: Vec::new(),
            in_flight: None,
            is_changed: false,
            is_leaving: false,
            failures: 0,
            retry_at: None,
        }
    }
}

impl Contender {
    /// A contender whose first session may be that of an earlier process, with a node.
    pub fn resuming() -> Self {
        Self { phase: Phase::Unknown, ..Self::default() }
    }

    /// Where it stands.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Its node, as far as it is known.
    pub fn node(&self) -> Option<&str> {
        match &self.phase {
            Phase::Unread(node) | Phase::Unwatched(node, _) | Phase::Watched(node) => Some(node),
            Phase::Absent | Phase::NoParents | Phase::Unknown => None,
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_wake(&self) -> Option<Moment> {
        self.retry_at.filter(|_| self.is_connected)
    }

    /// A session is connected. `digits` are 16 hexadecimal digits that stand for the identifier. In one session, there is
    /// one contender for a lock at a time.
    pub fn connected(&mut self, now: Moment, session: i64, digits: &str) -> Vec<LockEffect> {
        let mut effects = Vec::new();
        if self.session.is_some_and(|known| known != session) {
            effects = self.expired();
        }
        if self.session.is_none() {
            self.session = Some(session);
            self.prefix = format!("{session:016x}{digits}{EXCLUSIVE}");
        }
        (self.is_connected, self.failures, self.retry_at) = (true, 0, None);
        self.next(now, effects)
    }

    /// The connection was lost. The session may be resumed. Replies that come after this must not be passed on.
    pub fn disconnected(&mut self) -> Vec<LockEffect> {
        (self.is_connected, self.is_changed) = (false, false);
        if let Some(Request::Create { .. }) = self.in_flight.take() {
            self.phase = Phase::Unknown;
        }
        self.read_again();
        let mut effects = Vec::new();
        match self.standing {
            Standing::Held => self.stand(Standing::Suspended, &mut effects),
            Standing::Waiting { .. } => self.stand(Standing::Absent, &mut effects),
            _ => {}
        }
        effects
    }

    /// The session has expired, or must have by this host's clock. It must not be resumed then.
    pub fn expired(&mut self) -> Vec<LockEffect> {
        (self.session, self.is_connected, self.in_flight) = (None, false, None);
        self.extra.clear();
        let mut effects = Vec::new();
        self.node_gone(Loss::SessionExpired, &mut effects);
        if self.is_leaving {
            self.stand(Standing::Released, &mut effects);
        }
        effects
    }

    /// A watched node changed.
    pub fn changed(&mut self, now: Moment) -> Vec<LockEffect> {
        if self.in_flight.is_some() {
            self.is_changed = true;
            return Vec::new();
        }
        self.read_again();
        self.next(now, Vec::new())
    }

    /// Leaves the line, or releases the lock. The standing is `Released` when nothing is left in the registry.
    pub fn release(&mut self, now: Moment) -> Vec<LockEffect> {
        (self.is_leaving, self.retry_at) = (true, None);
        let mut effects = Vec::new();
        if self.standing != Standing::Released {
            self.stand(Standing::Absent, &mut effects);
        }
        self.next(now, effects)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Moment) -> Vec<LockEffect> {
        self.next(now, Vec::new())
    }

    /// A server replied to the request.
    pub fn done(&mut self, now: Moment, reply: Reply) -> Vec<LockEffect> {
        let mut effects = Vec::new();
        let Some(request) = self.in_flight.take() else { return effects };
        if let Reply::Failed(reason) = reply {
            self.failed(now, reason, &mut effects);
            return self.next(now, effects);
        }
        self.failures = 0;
        match (request, reply) {
            (Request::Create { .. }, Reply::Created(node)) => self.created(now, node, &mut effects),
            (Request::Create { .. }, Reply::NoNode) => self.phase = Phase::NoParents,
            (Request::CreateParents, Reply::Done) => self.phase = Phase::Absent,
            (Request::List { .. }, Reply::Listed(names)) => self.listed(&names, &mut effects),
            (Request::List { .. }, Reply::NoNode) => self.node_gone(Loss::NodeDeleted, &mut effects),
            (Request::Watch { .. }, Reply::Watched(holder)) => self.watched(holder, &mut effects),
            (Request::Watch { .. }, Reply::NoNode) => self.read_again(),
            (Request::Delete { node }, Reply::Done | Reply::NoNode) => self.deleted(&node, &mut effects),
            (request, reply) => self.failed(now, format!("unexpected reply {reply:?} to {request:?}"), &mut effects),
        }
        if std::mem::take(&mut self.is_changed) {
            self.read_again();
        }
        self.next(now, effects)
    }

    fn created(&mut self, now: Moment, node: String, effects: &mut Vec<LockEffect>) {
        if contenders::Contender::parse(&node).is_some() {
            self.phase = Phase::Unread(node);
        } else {
            let reason = format!("other clients do not count the number of {node}: the lock needs another path");
            self.extra.push(node);
            self.failed(now, reason, effects);
        }
    }

    fn listed(&mut self, names: &[String], effects: &mut Vec<LockEffect>) {
        let line = contenders::in_order(names.iter().map(String::as_str));
        let Some(session) = self.prefix.get(..SESSION) else { return };
        let of_session = line.iter().filter(|one| one.name.starts_with(session) && !one.is_shared);
        let own = of_session.clone().find(|one| one.name.starts_with(&self.prefix));
        self.extra = of_session.filter(|one| Some(*one) != own).map(|one| one.name.to_owned()).collect();
        let Some(node) = own else { return self.node_gone(Loss::NodeDeleted, effects) };
        let ahead = line.iter().take_while(|one| one.number < node.number).count();
        let place = match (line.first(), ahead.checked_sub(1).and_then(|next| line.get(next))) {
            // A lock that is held is not lost to a node that somebody made with a lower number.
            (Some(holder), Some(next)) if !self.holds() => {
                Place::Behind { ahead, next: next.name.to_owned(), holder: holder.name.to_owned() }
            }
            _ => Place::First,
        };
        self.phase = Phase::Unwatched(node.name.to_owned(), place);
    }

    /// The lock counts as held only when the own node is watched: it was there after the line was read.
    fn watched(&mut self, holder: Option<Arc<str>>, effects: &mut Vec<LockEffect>) {
        let Phase::Unwatched(node, place) = self.phase.clone() else { return };
        self.phase = Phase::Watched(node);
        let standing = match place {
            _ if self.is_leaving => return,
            Place::First => Standing::Held,
            Place::Behind { ahead, .. } => Standing::Waiting { ahead, holder },
        };
        self.stand(standing, effects);
    }

    fn deleted(&mut self, node: &str, effects: &mut Vec<LockEffect>) {
        self.extra.retain(|extra| extra != node);
        if self.node() == Some(node) {
            self.node_gone(Loss::NodeDeleted, effects);
        }
    }

    /// The contender has no node.
    fn node_gone(&mut self, loss: Loss, effects: &mut Vec<LockEffect>) {
        self.phase = Phase::Absent;
        let standing = match &self.standing {
            _ if self.is_leaving => return,
            Standing::Held | Standing::Suspended => Standing::Lost(loss),
            Standing::Waiting { .. } => Standing::Absent,
            _ => return,
        };
        self.stand(standing, effects);
    }

    fn failed(&mut self, now: Moment, reason: String, effects: &mut Vec<LockEffect>) {
        self.failures = self.failures.saturating_add(1);
        let pause = RETRY.pause(self.failures);
        self.retry_at = Some(now + pause);
        effects.push(LockEffect::Failed(reason, pause));
    }

    fn holds(&self) -> bool {
        matches!(self.standing, Standing::Held | Standing::Suspended)
    }

    fn read_again(&mut self) {
        if let Some(node) = self.node() {
            self.phase = Phase::Unread(node.to_owned());
        }
    }

    fn stand(&mut self, standing: Standing, effects: &mut Vec<LockEffect>) {
        if self.standing != standing {
            self.standing = standing.clone();
            effects.push(LockEffect::Changed(standing));
        }
    }

    /// Adds the next request, if one is due.
    fn next(&mut self, now: Moment, mut effects: Vec<LockEffect>) -> Vec<LockEffect> {
        let has_node = self.phase != Phase::Absent && self.phase != Phase::NoParents;
        if self.is_leaving && !has_node && self.extra.is_empty() && self.in_flight.is_none() {
            self.stand(Standing::Released, &mut effects);
            return effects;
        }
        if !self.is_connected || self.in_flight.is_some() || self.retry_at.is_some_and(|at| at > now) {
            return effects;
        }
        self.retry_at = None;
        if let Some(request) = self.request() {
            self.in_flight = Some(request.clone());
            effects.push(LockEffect::Send(request));
        }
        effects
    }

    fn request(&self) -> Option<Request> {
        let leaving = self.node().filter(|_| self.is_leaving);
        if let Some(node) = self.extra.first().map(String::as_str).or(leaving) {
            return Some(Request::Delete { node: node.to_owned() });
        }
        match &self.phase {
            Phase::Absent => Some(Request::Create { prefix: self.prefix.clone() }),
            Phase::NoParents => Some(Request::CreateParents),
            Phase::Unknown => Some(Request::List { synced: true }),
            Phase::Unread(_) => Some(Request::List { synced: false }),
            Phase::Unwatched(node, Place::First) => Some(Request::Watch { node: node.clone(), holder: None }),
            Phase::Unwatched(_, Place::Behind { next, holder, .. }) => {
                Some(Request::Watch { node: next.clone(), holder: Some(holder.clone()) })
            }
            Phase::Watched(_) => None,
        }
    }
}
