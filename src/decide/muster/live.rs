//! What a registry shows of one path, decoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::member::{Member, Quarantine};
use crate::config::RosterConfig;
use crate::payload;
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
    Present {
        /// The valid ones.
        members: BTreeMap<Arc<str>, Arc<Member>>,
        /// Those that are left out.
        unfit: BTreeMap<Arc<str>, Quarantine>,
    },
}

impl Live {
    /// The valid members, where there is a view of them.
    pub fn members(&self) -> Option<&BTreeMap<Arc<str>, Arc<Member>>> {
        match self {
            Self::Present { members, .. } => Some(members),
            Self::Unseen | Self::Absent | Self::Unreadable(_) => None,
        }
    }
}

/// Decodes a view. A member that is as before keeps its allocation, so that equal views compare fast.
pub fn read(seen: &Seen<Members>, config: &RosterConfig, before: Option<&BTreeMap<Arc<str>, Arc<Member>>>) -> Live {
    let nodes = match seen {
        Seen::Absent => return Live::Absent,
        Seen::Unreadable(why) => return Live::Unreadable(Arc::clone(why)),
        Seen::Present(nodes) => nodes,
    };
    let (mut members, mut unfit) = (BTreeMap::new(), BTreeMap::new());
    for (name, reading) in nodes {
        match payload::decode(config.payload, name, reading) {
            Ok(member) => {
                let kept = before.and_then(|before| before.get(name)).filter(|known| ***known == member);
                members.insert(Arc::clone(name), kept.map_or_else(|| Arc::new(member), Arc::clone));
            }
            Err(why) => {
                unfit.insert(Arc::clone(name), why);
            }
        }
    }
    Live::Present { members, unfit }
}
