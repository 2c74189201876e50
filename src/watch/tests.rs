//! Tests of all kinds of registries: one suite for all, and tests of what only one kind has.

use std::time::Duration;

use crate::config::{RegistryConfig, RegistryUrl};
use crate::model::node_path::NodePath;

mod directory;
mod mirror;
mod outage;
mod suite;
mod web;
mod zookeeper;

pub use mirror::Mirror;

/// The time limit of each step, on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// A tree of nodes that a registry follows.
pub trait Tree {
    /// The configuration of the registry.
    fn config(&self) -> RegistryConfig;
    /// Creates a node with its ancestors, or sets its data.
    fn put(&self, path: &str, data: &str);
    /// Creates a node that will have children, with its ancestors.
    fn create_parent(&self, path: &str);
    /// Deletes a node and everything below it.
    fn remove(&self, path: &str);
}

fn config(url: RegistryUrl) -> RegistryConfig {
    RegistryConfig { session_timeout: Duration::from_secs(4), ..RegistryConfig::new(url) }
}

fn zookeeper_url(servers: Vec<String>, chroot: &str) -> RegistryUrl {
    let chroot = (!chroot.is_empty()).then(|| NodePath::parse(chroot).unwrap());
    RegistryUrl::ZooKeeper { servers, chroot, tls: false }
}
