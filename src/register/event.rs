//! What checks, commands and registries tell the registrar.

use std::sync::Arc;

use crate::config::DataCommand;
use crate::decide::registration::Outcome;
use crate::model::registration::NodeId;
use crate::zk::Connection;

/// What happened.
#[derive(Debug)]
pub enum RegistrarEvent {
    /// In the registry of this name and generation.
    Nodes(Arc<str>, u64, NodesEvent),
    /// A check of this service ended.
    Checked(Arc<str>, u64, Result<(), String>),
    /// `data_cmd` of this service ended.
    Data(Arc<str>, DataCommand, Result<String, String>),
    /// Something is due.
    Tick,
}

/// What a registry tells the registrar.
#[derive(Debug)]
pub enum NodesEvent {
    /// There is a connection, or none.
    Connection(Option<Connection>),
    /// The session was saved.
    Saved(i64),
    /// These nodes were changed.
    Changed(Vec<NodeId>),
    /// A write or a deletion is done.
    Done(NodeId, Outcome),
}
