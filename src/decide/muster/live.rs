//! What a registry shows of one path, decoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::member::Member;
use crate::config::RosterConfig;
use crate::payload::{Children, Format};
use crate::sighting::{Members, Seen};

/// What the registry shows now.
#[derive(Debug, Clone, PartialEq)]
pub enum Live {
    /// It has said nothing yet: all that is known was remembered.
    Unseen,
    /// The path does not exist.
    Absent,
    /// It is there and cannot be read.
    Unreadable(Arc<str>),
    /// These are there.
    Present(Children),
}

impl Live {
    /// The nodes as they are read, where there is a view of them.
    pub fn children(&self) -> Option<&Children> {
        match self {
            Self::Present(children) => Some(children),
            Self::Unseen | Self::Absent | Self::Unreadable(_) => None,
        }
    }

    /// The valid members, where there is a view of them.
    pub fn members(&self) -> Option<&BTreeMap<Arc<str>, Arc<Member>>> {
        self.children().map(Children::members)
    }
}

/// Reads a view by what the configuration says, or by what `auto` has chosen before.
pub fn read(seen: &Seen<Members>, config: &RosterConfig, chosen: Option<&Format>, before: Option<&Children>) -> Live {
    match seen {
        Seen::Absent => Live::Absent,
        Seen::Unreadable(why) => Live::Unreadable(Arc::clone(why)),
        Seen::Present(nodes) => Live::Present(Children::read(&config.payload, chosen, nodes, before)),
    }
}
