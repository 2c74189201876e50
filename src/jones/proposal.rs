//! What a writer wants, against what it has read. When the service has changed meanwhile, the proposal is merged with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::log::plain;
use crate::model::node_path::NodePath;

use super::json::{Json, Object};
use super::merge::{Conflict, merge};
use super::nodemaps::Encoding;
use super::path::Env;
use super::tree::Tree;
use super::words::name;

#[cfg(test)]
mod tests;

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A rule forbids the change.
    Check(String),
    /// Somebody else has changed the same meanwhile.
    Changed(String),
}

/// A change of the `conf` of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfEdit {
    /// What was read; `None` if there was no such environment.
    pub base: Option<Object>,
    /// What is wanted; `None` to delete the environment.
    pub wanted: Option<Object>,
    /// The only version that may be replaced. Nothing is merged then.
    pub version: Option<i32>,
}

/// A change of the association of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEdit {
    /// The path that was read; `None` if the host was not listed.
    pub base: Option<String>,
    /// The path that is wanted; `None` to remove the host.
    pub wanted: Option<String>,
    /// The environment that must exist.
    pub env: Option<Env>,
}

/// What a writer wants.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Proposal {
    /// By environment.
    pub confs: BTreeMap<Env, ConfEdit>,
    /// By host.
    pub hosts: BTreeMap<String, HostEdit>,
    /// Other nodes: pins, canaries and their records. `None` deletes a node.
    pub nodes: BTreeMap<NodePath, Option<Vec<u8>>>,
    /// Other nodes that must still hold what was read. `None`: there must be no such node.
    pub expected: BTreeMap<NodePath, Option<Vec<u8>>>,
    /// The encoding of the associations, if it is to become another one.
    pub encoding: Option<Encoding>,
}

/// What is to become of the `conf` of an environment.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// It does not exist yet.
    Create(Object),
    /// It exists.
    Set(Object),
    /// It exists.
    Delete,
}

/// A proposal, merged with the service as it is now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    /// By environment. What is so already is left out.
    pub confs: BTreeMap<Env, Wanted>,
    /// The new path of each host whose association changes; `None` removes the host.
    pub hosts: BTreeMap<String, Option<String>>,
    /// Other nodes. `None` deletes a node.
    pub nodes: BTreeMap<NodePath, Option<Vec<u8>>>,
    /// Environments that must exist.
    pub needed: Vec<Env>,
    /// The new encoding of the associations.
    pub encoding: Option<Encoding>,
}

impl Change {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.confs.is_empty() && self.hosts.is_empty() && self.nodes.is_empty() && self.encoding.is_none()
    }
}

impl Proposal {
    /// Merges it with a service.
    ///
    /// # Errors
    /// A key or host that somebody else has changed, with both values; another node that is not as it was read; or an
    /// environment that exists or is missing.
    pub fn rebase(&self, tree: &Tree) -> Result<Change, Refused> {
        for (path, data) in &self.expected {
            if tree.frozen.get(path).map(|node| &*node.data) != data.as_deref() {
                return Err(Refused::Changed(format!("{path}: it was changed by somebody else meanwhile")));
            }
        }
        let is_so = tree.nodemaps.as_ref().is_ok_and(|node| node.maps.encoding == self.encoding);
        let encoding = self.encoding.filter(|_| !is_so);
        let mut change = Change { nodes: self.nodes.clone(), encoding, ..Change::default() };
        for (env, edit) in &self.confs {
            if let Some(wanted) = edit.rebase(tree, env)? {
                change.confs.insert(env.clone(), wanted);
            }
        }
        for (host, edit) in &self.hosts {
            let now = tree.hosts().find(|(name, _)| name == host).map(|(_, path)| path);
            if now == edit.wanted.as_deref() {
                continue;
            }
            if now != edit.base.as_deref() {
                let show = |path: Option<&str>| path.unwrap_or("no path").to_owned();
                return Err(Refused::Changed(format!(
                    "host {host}: it was associated with {} meanwhile; it had {}, this change has {}",
                    show(now),
                    show(edit.base.as_deref()),
                    show(edit.wanted.as_deref()),
                )));
            }
            change.hosts.insert(host.clone(), edit.wanted.clone());
            change.needed.extend(edit.env.clone());
        }
        // Another host may have begun to read a node, or one below it, since it was chosen to be deleted.
        let reads =
            |host: &str, at: &str, path: &NodePath| !self.hosts.contains_key(host) && path.segments_below(at).is_some();
        let is_read = |path: &NodePath| tree.hosts().any(|(host, at)| reads(host, at, path));
        change.nodes.retain(|path, data| data.is_some() || !is_read(path));
        Ok(change)
    }
}

impl ConfEdit {
    fn rebase(&self, tree: &Tree, env: &Env) -> Result<Option<Wanted>, Refused> {
        let shown = name(&tree.service, env);
        let now = tree.envs.get(env).map(|nodes| &nodes.conf);
        // What is no object has no keys to keep.
        let object = now.map(|node| node.object.clone().unwrap_or_default());
        if let Some(version) = self.version
            && now.map(|node| node.stat.version) != Some(version)
        {
            let is = now.map_or("it does not exist".to_owned(), |node| format!("it has version {}", node.stat.version));
            return Err(Refused::Changed(format!("{shown}: {is}, not version {version}")));
        }
        match (&self.base, &self.wanted, object) {
            (None, None, _) => Ok(None),
            (None, Some(wanted), None) => Ok(Some(Wanted::Create(wanted.clone()))),
            (None, Some(_), Some(_)) => Err(Refused::Check(format!("{shown}: the environment exists already"))),
            (Some(_), None, None) => Err(Refused::Check(format!("{shown}: there is no such environment"))),
            (Some(base), None, Some(object)) if *base == object => Ok(Some(Wanted::Delete)),
            (Some(_), None, Some(_)) => {
                Err(Refused::Changed(format!("{shown}: it was changed meanwhile, so it is not deleted")))
            }
            (Some(_), Some(_), None) => {
                Err(Refused::Changed(format!("{shown}: the environment was deleted meanwhile")))
            }
            (Some(base), Some(wanted), Some(object)) => {
                let merged =
                    merge(base, wanted, &object).map_err(|found| Refused::Changed(conflict_text(&shown, &found)))?;
                let is_broken = now.is_some_and(|node| node.object.is_err());
                Ok((merged != object || is_broken).then_some(Wanted::Set(merged)))
            }
        }
    }
}

fn conflict_text(name: &str, conflicts: &[Conflict]) -> String {
    let show = |value: &Option<Json>| value.as_ref().map_or("no value".to_owned(), Json::to_string);
    let mut out = format!("{name} was changed by somebody else meanwhile:");
    for Conflict { key, base, ours, theirs } in conflicts {
        let (key, base, ours, theirs) = (plain(key), show(base), show(ours), show(theirs));
        // Writing to a string cannot fail.
        let _ = write!(out, "\n  {key}: it was {base}; now {theirs}; this change has {ours}");
    }
    out
}
