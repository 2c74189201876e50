//! Which node a host reads, and what it holds: `nodemaps` and the node that it names, followed as one.
//!
//! The two are read one after the other, so they may be from different times: the host may have been mapped to another
//! node before this one changed. So a node counts only once `nodemaps` was read again after it, and had not changed.

use std::sync::Arc;

use super::nodemaps::NodeMaps;
use super::path::Service;
use crate::model::node_path::NodePath;
use crate::model::registry_event::{Bytes, Mapping, Seen, View};

#[cfg(test)]
mod tests;

/// What a host reads of a service.
#[derive(Debug)]
pub struct HostView {
    service: Service,
    host: Arc<str>,
    /// The data of `nodemaps` as last read.
    nodemaps: Option<Bytes>,
    phase: Phase,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// It is not known which node the host is to read.
    Unmapped,
    /// That node is not read yet.
    Reading(Mapping),
    /// That node was read, and `nodemaps` is being read again. `next` is what was read of the node since.
    Confirming { mapping: Mapping, data: Seen<Bytes>, next: Option<Seen<Bytes>> },
    /// Both are known. Either may change.
    Settled(Mapping, Seen<Bytes>),
}

/// What follows from a read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The new view of the host.
    pub view: Option<View>,
    /// `nodemaps` is to be read again.
    pub reads_nodemaps: bool,
}

impl HostView {
    /// Nothing is read yet.
    pub fn new(service: Service, host: Arc<str>) -> Self {
        Self { service, host, nodemaps: None, phase: Phase::Unmapped }
    }

    /// The node that maps hosts.
    pub fn nodemaps(&self) -> NodePath {
        self.service.nodemaps()
    }

    /// The node that the host is to read, if it is known. The events of any other node are outdated.
    pub fn node(&self) -> Option<&NodePath> {
        match &self.phase {
            Phase::Unmapped => None,
            Phase::Reading(mapping) | Phase::Confirming { mapping, .. } | Phase::Settled(mapping, _) => {
                Some(&mapping.path)
            }
        }
    }

    /// The connection was lost: everything is read again.
    pub fn connection_lost(&mut self) {
        (self.nodemaps, self.phase) = (None, Phase::Unmapped);
    }

    /// `nodemaps` was read.
    pub fn nodemaps_read(&mut self, seen: &Seen<Bytes>) -> Step {
        let mapping = match self.mapping(seen) {
            Ok(mapping) => mapping,
            Err(data) => {
                self.connection_lost();
                return Step { view: Some(View::Mapped { mapping: None, data }), reads_nodemaps: false };
            }
        };
        let bytes = if let Seen::Present(bytes) = seen { Some(Arc::clone(bytes)) } else { None };
        let is_same = self.nodemaps == bytes;
        self.nodemaps = bytes;
        let is_other_node = self.node() != Some(&mapping.path);
        let (phase, step) = match std::mem::replace(&mut self.phase, Phase::Unmapped) {
            _ if is_other_node => (Phase::Reading(mapping), Step::default()),
            Phase::Confirming { data, next, .. } if is_same => {
                let view = Some(View::Mapped { mapping: Some(mapping.clone()), data: data.clone() });
                let reads_nodemaps = next.is_some();
                let phase = match next {
                    Some(data) => Phase::Confirming { mapping, data, next: None },
                    None => Phase::Settled(mapping, data),
                };
                (phase, Step { view, reads_nodemaps })
            }
            // It changed meanwhile, for other hosts or in another way.
            Phase::Confirming { data, next, .. } => {
                let data = next.unwrap_or(data);
                (Phase::Confirming { mapping, data, next: None }, Step { view: None, reads_nodemaps: true })
            }
            Phase::Settled(before, data) => {
                let view = View::Mapped { mapping: Some(mapping.clone()), data: data.clone() };
                let view = (before != mapping).then_some(view);
                (Phase::Settled(mapping, data), Step { view, reads_nodemaps: false })
            }
            Phase::Unmapped | Phase::Reading(_) => (Phase::Reading(mapping), Step::default()),
        };
        self.phase = phase;
        step
    }

    /// A node was read.
    pub fn node_read(&mut self, path: &NodePath, seen: &Seen<Bytes>) -> Step {
        if self.node() != Some(path) {
            return Step::default();
        }
        let (phase, reads_nodemaps) = match std::mem::replace(&mut self.phase, Phase::Unmapped) {
            Phase::Unmapped => (Phase::Unmapped, false),
            Phase::Confirming { mapping, data, .. } => {
                (Phase::Confirming { mapping, data, next: Some(seen.clone()) }, false)
            }
            Phase::Reading(mapping) | Phase::Settled(mapping, _) => {
                (Phase::Confirming { mapping, data: seen.clone(), next: None }, true)
            }
        };
        self.phase = phase;
        Step { view: None, reads_nodemaps }
    }

    /// The node that the host is to read.
    ///
    /// # Errors
    /// It is not known: what takes the place of its data.
    fn mapping(&self, seen: &Seen<Bytes>) -> Result<Mapping, Seen<Bytes>> {
        let nodemaps = self.nodemaps();
        let bytes = match seen {
            Seen::Absent => return Err(Seen::Absent),
            Seen::Unreadable(why) => return Err(Seen::Unreadable(format!("{nodemaps} cannot be read: {why}").into())),
            Seen::Present(bytes) => bytes,
        };
        let unknown = |why: String| Seen::Unreadable(why.into());
        let maps = NodeMaps::parse(bytes).map_err(|why| unknown(format!("{nodemaps} is {why}")))?;
        let Some(path) = maps.hosts.get(&*self.host) else {
            return Ok(Mapping { path: self.service.default_destination().path, is_listed: false });
        };
        let found = self.service.destination(path);
        let found = found.map_err(|why| unknown(format!("{nodemaps} maps the host to {why}")))?;
        Ok(Mapping { path: found.path, is_listed: true })
    }
}
