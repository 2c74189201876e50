//! A service as it was read at one moment: its environments, their `conf` and `view`, and the hosts that read them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::node_path::NodePath;
use crate::zk::{Bytes, Stat};

use super::json::{Json, Object};
use super::nodemaps::NodeMaps;
use super::path::{Destination, Env, Kind, Service};

#[cfg(test)]
pub mod tests;

/// A node that holds an object.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its data.
    pub data: Bytes,
    /// Its metadata.
    pub stat: Stat,
    /// The object that its data is, or why it is none.
    pub object: Result<Object, String>,
}

impl Node {
    /// A node as it was read.
    pub fn new(data: Bytes, stat: Stat) -> Self {
        let object = Json::parse_object(&data);
        Self { data, stat, object }
    }
}

/// The nodes of an environment. An environment exists if its `conf` does.
#[derive(Debug, Clone)]
pub struct EnvNodes {
    /// Its own configuration.
    pub conf: Node,
    /// Its own configuration over that of its ancestors; `None` if there is no such node.
    pub view: Option<Node>,
}

/// The node `nodemaps`.
#[derive(Debug, Clone, Default)]
pub struct MapsNode {
    /// Its metadata; `None` if there is no such node.
    pub stat: Option<Stat>,
    /// The associations.
    pub maps: NodeMaps,
}

/// An object that cannot be folded into a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnObject {
    /// The environment whose `conf` it is.
    pub env: Env,
    /// Why.
    pub reason: String,
}

/// A service.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its name.
    pub service: Service,
    /// The environments.
    pub envs: BTreeMap<Env, EnvNodes>,
    /// The associations, or why their node cannot be used.
    pub nodemaps: Result<MapsNode, String>,
    /// The other nodes that hosts read, or that canaries wait in: pins and canaries. By path.
    pub frozen: BTreeMap<NodePath, Node>,
    /// Environments that have a view but no `conf`.
    pub orphans: BTreeSet<Env>,
}

impl Tree {
    /// The view of an environment: the keys of each ancestor's `conf` from the root environment on, then its own. Values
    /// are replaced as a whole.
    ///
    /// # Errors
    /// One of them is not an object. The environment must exist.
    pub fn fold(&self, env: &Env) -> Result<Object, NotAnObject> {
        fold(env, |env| self.envs.get(env).map(|nodes| &nodes.conf.object))
    }

    /// The environments that inherit from one, and itself, each after the one that it inherits from.
    pub fn within<'a>(&'a self, env: &'a Env) -> impl Iterator<Item = &'a Env> {
        self.envs.keys().filter(|other| other.is_within(env))
    }

    /// The environments directly below one.
    pub fn children<'a>(&'a self, env: &'a Env) -> impl Iterator<Item = &'a Env> {
        self.envs.keys().filter(|other| other.parent().as_ref() == Some(env))
    }

    /// The associations. None, if their node cannot be used.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, &str)> {
        let maps = self.nodemaps.as_ref().ok().map(|node| &node.maps.hosts);
        maps.into_iter().flatten().map(|(host, path)| (host.as_str(), path.as_str()))
    }

    /// What a host reads, if its association is a valid one; the default if it has none.
    ///
    /// # Errors
    /// Why the association cannot be followed.
    pub fn destination(&self, host: &str) -> Result<Destination, String> {
        let listed = self.hosts().find(|(name, _)| *name == host);
        listed.map_or_else(|| Ok(self.service.default_destination()), |(_, path)| self.service.destination(path))
    }

    /// The hosts that read the view of an environment.
    pub fn readers(&self, env: &Env) -> Vec<&str> {
        self.hosts_of(|kind| matches!(kind, Kind::View(of) if of == env))
    }

    /// The hosts that read an environment in any way: its view, its own configuration, a pin or a canary.
    pub fn all_readers(&self, env: &Env) -> Vec<&str> {
        self.hosts_of(|kind| match kind {
            Kind::View(of) | Kind::Conf(of) | Kind::Pin(_, of) | Kind::Canary(_, of) => of == env,
            Kind::Other => false,
        })
    }

    fn hosts_of(&self, wanted: impl Fn(&Kind) -> bool) -> Vec<&str> {
        let is_wanted = |path: &str| self.service.destination(path).is_ok_and(|found| wanted(&found.kind));
        self.hosts().filter(|(_, path)| is_wanted(path)).map(|(host, _)| host).collect()
    }

    /// Whether the view of an environment is not the fold of its `conf` and those of its ancestors.
    pub fn is_stale(&self, env: &Env) -> bool {
        let view = self.envs.get(env).and_then(|nodes| nodes.view.as_ref());
        let view = view.and_then(|view| view.object.as_ref().ok());
        self.fold(env).is_ok_and(|fold| view != Some(&fold))
    }
}

/// The fold of what `conf` returns for an environment and its ancestors; of nothing for those that it does not know.
///
/// # Errors
/// One of them is not an object.
pub fn fold<'a>(env: &Env, conf: impl Fn(&Env) -> Option<&'a Result<Object, String>>) -> Result<Object, NotAnObject> {
    let mut folded = Object::new();
    for env in env.lineage() {
        match conf(&env) {
            Some(Ok(object)) => folded.extend(object.iter().map(|(key, value)| (key.clone(), value.clone()))),
            Some(Err(reason)) => return Err(NotAnObject { env, reason: reason.clone() }),
            None => {}
        }
    }
    Ok(folded)
}
