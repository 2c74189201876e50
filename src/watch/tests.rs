//! Registries of both kinds, by the library: one suite for all of them, and what only one kind has.

use std::time::Duration;

use crate::config::{RegistryConfig, RegistryUrl};
use crate::model::node_path::NodePath;

mod directory;
mod mirror;
mod outage;
mod suite;
mod zookeeper;

pub use mirror::Mirror;

/// How long anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// A tree of nodes that a registry follows.
pub trait Tree {
    /// How the registry is configured.
    fn config(&self) -> RegistryConfig;
    /// Makes a node with all above it, or sets its data.
    fn put(&self, path: &str, data: &str);
    /// Makes a node without data that will have children, with all above it.
    fn folder(&self, path: &str);
    /// Deletes a node with all below it.
    fn remove(&self, path: &str);
}

fn config(url: RegistryUrl) -> RegistryConfig {
    RegistryConfig { session_timeout: Duration::from_secs(4), ..RegistryConfig::new(url) }
}

fn zookeeper_url(servers: Vec<String>, chroot: &str) -> RegistryUrl {
    let chroot = (!chroot.is_empty()).then(|| NodePath::parse(chroot).unwrap());
    RegistryUrl::ZooKeeper { servers, chroot, tls: false }
}
