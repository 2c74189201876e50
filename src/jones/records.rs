//! What rosterd records about a service, below its own node: the history, and a staged change.

use crate::model::node_path::NodePath;

use super::path::Service;

/// The beginning of the name of an entry's node. ZooKeeper appends the number.
pub const PREFIX: &str = "r-";

/// The node of a service's history.
pub fn history(service: &Service) -> NodePath {
    service.records().child("history")
}

/// The path of an entry.
pub fn entry(service: &Service, revision: u64) -> NodePath {
    history(service).child(&format!("{PREFIX}{revision:010}"))
}

/// The revision in the name of a node; `None` if it is no entry.
pub fn revision(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// The node that exists if `nodemaps`, once it has no data, is to be written as lines again.
pub fn arrows(service: &Service) -> NodePath {
    service.records().child("arrows")
}

/// The node that exists while views are being written in parts.
pub fn pending(service: &Service) -> NodePath {
    service.records().child("pending")
}

/// The node whose version changes with each entry of a change outside of the history, so that it gets one entry only.
pub fn recorded(service: &Service) -> NodePath {
    service.records().child("recorded")
}
