//! A service of this host.

use std::time::Duration;

use super::Moment;

pub use crate::decide::registration::NodeState;
pub use crate::decide::service::Health as ServiceHealth;

/// A service.
#[derive(Debug, Clone)]
pub struct ServiceReport {
    /// Its name.
    pub name: String,
    /// Its registry.
    pub registry: String,
    /// Its node.
    pub node: String,
    /// Whether the registry is connected.
    pub is_connected: bool,
    /// What its checks show.
    pub health: ServiceHealth,
    /// How many checks in a row make it up, and down.
    pub rise_and_fall: (u32, u32),
    /// Since when it is up or down.
    pub since: Moment,
    /// Why its last check failed.
    pub check_error: Option<String>,
    /// Why `data_cmd` failed.
    pub data_error: Option<String>,
    /// Its node in the registry; `None` if nothing was written.
    pub state: Option<NodeState>,
    /// It was taken out by a person.
    pub drain: Option<DrainReport>,
}

/// A service that was taken out.
#[derive(Debug, Clone)]
pub struct DrainReport {
    /// For how long; `None` until it is brought back.
    pub left: Option<Duration>,
    /// The reason that was given.
    pub reason: Option<String>,
    /// The user who asked for it.
    pub uid: u32,
}
