//! Collects the replies that make up one read of a subject.

use std::sync::Arc;

use crate::model::node_path::Subject;
use crate::model::registry_event::Members;
use crate::model::version::Zxid;
use crate::watch::cache::{Patch, ViewUpdate};
use crate::watch::dirty::MemberId;
use crate::watch::zookeeper::node_versions::{Parent, ReadResult};
use crate::zk::NodeResult;

use super::{ReadError, reading};

/// What was read of a subject so far.
#[derive(Debug, Default)]
pub struct Collected {
    pub patch: Patch,
    pub parents: Vec<(Arc<str>, Parent)>,
    /// The members are from several replies, between which something may have changed.
    pub is_split: bool,
    pub changed: Vec<(MemberId, Zxid)>,
    pub other_children: Option<usize>,
}

impl Collected {
    /// The result of the read, with the content `update`.
    pub fn result(self, update: ViewUpdate) -> ReadResult {
        let Self { parents, changed, other_children, .. } = self;
        ReadResult { update, parents, changed, other_children }
    }

    /// Adds one member to the patch.
    pub fn add(&mut self, member: MemberId, result: NodeResult) -> Result<(), ReadError> {
        let read = reading(result)?;
        if let Some((_, zxid)) = &read {
            self.changed.push((member.clone(), *zxid));
        }
        self.patch.members.push((member, read.map(|(reading, _)| reading)));
        Ok(())
    }

    /// Removes the names that are not keys, and records their number.
    pub fn retain_keys(&mut self, subject: &Subject, names: &mut Vec<String>) {
        let all = names.len();
        names.retain(|name| subject.is_key(name));
        self.other_children = Some(all - names.len());
    }

    /// Returns the members of one key, and records their versions.
    pub fn members(
        &mut self,
        key: Option<&Arc<str>>,
        names: Vec<String>,
        results: Vec<NodeResult>,
    ) -> Result<Members, ReadError> {
        let mut members = Members::new();
        for (name, result) in names.into_iter().zip(results) {
            if let Some((reading, zxid)) = reading(result)? {
                let name: Arc<str> = Arc::from(name);
                self.changed.push((MemberId { key: key.cloned(), name: Arc::clone(&name) }, zxid));
                members.insert(name, reading);
            }
        }
        Ok(members)
    }
}
