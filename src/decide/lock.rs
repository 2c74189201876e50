//! One `[[lock]]` as templates and status see it: what the agent knows of its own node, and the line of contenders in the
//! registry. Pure.

use std::sync::Arc;

use serde_json::{Value, json};

use super::moment::Moment;
use super::report::LockReport;
use crate::model::registry_event::{Members, Reading, Seen};
use crate::payload::{DecodedNode, Format, decode};

#[cfg(test)]
mod tests;

/// What this agent knows of its own place in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockStanding {
    /// It holds the lock, and by the clock of this host the session cannot have ended.
    pub is_held: bool,
    /// The name of its node, if it has one.
    pub node: Option<Arc<str>>,
    /// The data of its node.
    pub identifier: Arc<str>,
}

/// One contender in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Contender {
    sequence: Option<String>,
    node: Arc<str>,
    identifier: Option<String>,
}

/// The state of a lock. It is not known before the agent is in the line, and before the line was read.
#[derive(Debug, Clone, Default)]
pub struct Lock {
    standing: Option<LockStanding>,
    /// Since when it is held, or not held.
    since: Option<Moment>,
    /// The contenders in the order of their numbers; `None` before they were read.
    line: Option<Vec<Contender>>,
}

impl Lock {
    /// The contenders were read.
    pub fn set_line(&mut self, seen: &Seen<Members>) {
        let contender = |(node, reading): (&Arc<str>, &Reading)| match decode(&Format::Lock, node, reading) {
            Ok(DecodedNode::Member(member)) => {
                let (sequence, identifier) = (member.fields().sequence.clone(), member.fields().id.clone());
                Some(Contender { sequence, node: Arc::clone(node), identifier })
            }
            _ => None,
        };
        match seen {
            Seen::Unreadable(_) => {}
            Seen::Absent => self.line = Some(Vec::new()),
            Seen::Present(nodes) => {
                let mut line: Vec<Contender> = nodes.iter().filter_map(contender).collect();
                line.sort_by(|a, b| (&a.sequence, &a.node).cmp(&(&b.sequence, &b.node)));
                self.line = Some(line);
            }
        }
    }

    /// The place of the agent changed.
    pub fn set_standing(&mut self, now: Moment, standing: LockStanding) {
        if self.standing.as_ref().is_none_or(|known| known.is_held != standing.is_held) {
            self.since = Some(now);
        }
        self.standing = Some(standing);
    }

    /// Whether the agent holds it.
    pub fn is_held(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.is_held)
    }

    /// What is known; `None` before that is enough.
    pub fn report(&self) -> Option<LockReport> {
        let (standing, line) = (self.standing.as_ref()?, self.line.as_ref()?);
        let place = standing.node.as_ref().and_then(|node| line.iter().position(|it| it.node == *node));
        let (position, holder) = if standing.is_held {
            (Some(1), Some(standing.identifier.to_string()))
        } else {
            (place.map(|place| place + 1), line.first().and_then(|first| first.identifier.clone()))
        };
        let since = self.since.unwrap_or(Moment::START);
        Some(LockReport { is_held: standing.is_held, since, position, holder, contenders: line.len() })
    }

    /// What templates see.
    pub fn value(&self) -> Option<Value> {
        let LockReport { is_held, position, holder, contenders, .. } = self.report()?;
        Some(json!({ "held": is_held, "holder": holder, "position": position, "contenders": contenders }))
    }
}
