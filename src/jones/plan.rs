//! The transaction that brings a change about: every `conf`, every view that depends on it, and the entry of the history,
//! with the versions under which it holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::digest::sha256;
use crate::model::node_path::NodePath;
use crate::text::command::rosterd;

use super::entry::{Before, Entry, EnvChange};
use super::json::{self, Json, Object};
use super::nodemaps::Encoding;
use super::path::{Env, Kind, Service};
use super::proposal::{Change, Wanted};
use super::records;
use super::shape::check_shape;
use super::tree::{Node, Tree, fold};
use super::words::name;

#[cfg(test)]
mod tests;

/// One operation of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The node has this version; -1: it exists.
    Check(NodePath, i32),
    /// Creates a node with the access control list of the nearest node above it that exists.
    Create(NodePath, Vec<u8>),
    /// Sets the data of a node that has this version.
    Set(NodePath, Vec<u8>, i32),
    /// Deletes a node that has this version.
    Delete(NodePath, i32),
    /// Creates the entry of the history.
    Record(Vec<u8>),
}

/// An object before and after; `None` where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectDiff {
    /// The environment.
    pub env: Env,
    /// Before.
    pub before: Option<Object>,
    /// After.
    pub after: Option<Object>,
    /// The hosts that read it.
    pub hosts: Vec<String>,
}

/// The path of each host whose association changes, before and after.
pub type Moves = BTreeMap<String, (Option<String>, Option<String>)>;

/// A transaction, and what it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The operations in their order.
    pub steps: Vec<Step>,
    /// Each changed `conf`.
    pub confs: Vec<ObjectDiff>,
    /// Each changed view.
    pub views: Vec<ObjectDiff>,
    /// The path of each host whose association changes, before and after.
    pub hosts: Moves,
    /// The new data of other nodes: pins, canaries and their records. `None` for those that are deleted.
    pub frozen: BTreeMap<NodePath, Option<Vec<u8>>>,
    /// The entry of the history.
    pub entry: Entry,
}

impl Plan {
    /// Plans a change. `entry` has the command, the author and the comment.
    ///
    /// # Errors
    /// A rule that forbids the change: a parent is missing, an environment with children or hosts would be deleted, a
    /// view cannot be folded, an encoding cannot hold a host.
    pub fn new(tree: &Tree, change: &Change, entry: Entry) -> Result<Self, String> {
        check_shape(tree, change)?;
        let mut planner = Planner { tree, change, steps: Vec::new(), views: Vec::new(), entry };
        planner.confs();
        planner.views()?;
        let hosts = planner.nodemaps()?;
        let confs = planner.conf_diffs();
        let Planner { mut steps, views, mut entry, .. } = planner;
        entry.changes = confs.iter().map(|diff| env_change(tree, diff)).collect();
        entry.nodemaps.clone_from(&hosts);
        steps.push(Step::Record(entry.write()));
        let mut plan = Self { steps, confs, views, hosts, frozen: change.nodes.clone(), entry };
        plan.touch_frozen(tree, change);
        Ok(plan)
    }

    /// Each view that it writes, those of canaries and pins included.
    pub fn new_views(&self, service: &Service) -> Vec<(Env, Object)> {
        let views = self.views.iter().filter_map(|diff| Some((diff.env.clone(), diff.after.clone()?)));
        let frozen = |(path, data): (&NodePath, &Option<Vec<u8>>)| match service.destination(path.as_str()).ok()?.kind {
            // The nodes above it have no data.
            Kind::Canary(_, env) | Kind::Pin(_, env) => Some((env, Json::parse_object(data.as_ref()?).ok()?)),
            _ => None,
        };
        views.chain(self.frozen.iter().filter_map(frozen)).collect()
    }

    /// Leaves the former content out of the entry, because the whole is too large. The entries before have it.
    pub fn shorten_entry(&mut self) {
        for before in self.entry.changes.iter_mut().filter_map(|change| change.before.as_mut()) {
            before.conf = None;
        }
        let data = self.entry.write();
        for step in &mut self.steps {
            if let Step::Record(entry) = step {
                entry.clone_from(&data);
            }
        }
    }

    /// Leaves the views to later transactions, and creates a node that says so. The confs are those of one transaction.
    pub fn stage(&mut self, pending: NodePath) {
        let views: BTreeSet<&str> = self.entry.views.keys().map(String::as_str).collect();
        let is_view = |path: &NodePath| {
            let segments: Vec<&str> = path.as_str().splitn(5, '/').collect();
            matches!(&segments[..], ["", "services", _, "views", rest @ ..] if views.contains(rest.first().copied().unwrap_or_default()))
        };
        self.steps.retain(|step| !matches!(step, Step::Create(path, _) | Step::Set(path, ..) if is_view(path)));
        let data = self.entry.id.clone().into_bytes();
        self.steps.push(Step::Create(pending, data));
    }

    /// Sets the pins and canaries of hosts that came from a changed view to the bytes that they have. A Python client
    /// still watches the view that it read before, and takes what it becomes; this makes it read its pin again.
    fn touch_frozen(&mut self, tree: &Tree, change: &Change) {
        let changed: BTreeSet<&Env> = self.views.iter().map(|diff| &diff.env).collect();
        let touched: BTreeSet<NodePath> = tree
            .hosts()
            .filter(|(host, _)| !change.hosts.contains_key(*host))
            .filter_map(|(_, path)| tree.service.destination(path).ok())
            .filter(|found| matches!(&found.kind, Kind::Pin(_, env) | Kind::Canary(_, env) if changed.contains(env)))
            .map(|found| found.path)
            .filter(|path| !change.nodes.contains_key(path))
            .collect();
        for path in touched {
            if let Some(node) = tree.frozen.get(&path) {
                self.steps.push(Step::Set(path, node.data.to_vec(), node.stat.version));
            }
        }
    }
}

/// The steps that make every view at or below an environment the fold again, and create those that are missing.
///
/// # Errors
/// A `conf` is not an object.
pub fn repair(tree: &Tree, env: &Env) -> Result<Vec<Step>, String> {
    let mut planner = Planner::empty(tree);
    let stale: BTreeSet<Env> = tree.within(env).filter(|env| tree.is_stale(env)).cloned().collect();
    let mut needed: BTreeSet<Env> = stale.iter().flat_map(Env::lineage).collect();
    needed.retain(|env| tree.envs.contains_key(env));
    for env in &needed {
        planner.check_conf(env);
    }
    for env in &needed {
        if stale.contains(env) {
            planner.write_view(env, tree.fold(env).map_err(|why| broken(tree, &why.env, &why.reason))?);
        }
    }
    Ok(planner.steps)
}

struct Planner<'a> {
    tree: &'a Tree,
    change: &'a Change,
    steps: Vec<Step>,
    views: Vec<ObjectDiff>,
    entry: Entry,
}

static NO_CHANGE: Change = Change {
    confs: BTreeMap::new(),
    hosts: BTreeMap::new(),
    nodes: BTreeMap::new(),
    needed: Vec::new(),
    encoding: None,
};

impl<'a> Planner<'a> {
    fn empty(tree: &'a Tree) -> Self {
        Self { tree, change: &NO_CHANGE, steps: Vec::new(), views: Vec::new(), entry: Entry::default() }
    }

    fn check_conf(&mut self, env: &Env) {
        if let Some(nodes) = self.tree.envs.get(env) {
            self.steps.push(Step::Check(self.tree.service.conf(env), nodes.conf.stat.version));
        }
    }

    /// The ancestors, then each changed `conf`, then what inherits from them.
    fn confs(&mut self) {
        let (tree, change) = (self.tree, self.change);
        let service = &tree.service;
        let is_changed = |env: &Env| change.confs.contains_key(env);
        let ancestors: BTreeSet<Env> =
            change.confs.keys().flat_map(Env::lineage).filter(|env| !is_changed(env)).collect();
        // A new environment gives its parent another version, without another content. A writer that has not seen the
        // new environment then fails, instead of leaving its view stale.
        let parents: BTreeSet<Env> = change
            .confs
            .iter()
            .filter(|(_, wanted)| matches!(wanted, Wanted::Create(_)))
            .filter_map(|(env, _)| env.parent())
            .collect();
        for env in &ancestors {
            match tree.envs.get(env) {
                Some(nodes) if parents.contains(env) => {
                    self.steps.push(Step::Set(service.conf(env), nodes.conf.data.to_vec(), nodes.conf.stat.version));
                }
                _ => self.check_conf(env),
            }
        }
        for (env, wanted) in &change.confs {
            let version = tree.envs.get(env).map_or(-1, |nodes| nodes.conf.stat.version);
            match wanted {
                Wanted::Create(object) => self.steps.push(Step::Create(service.conf(env), json::bytes(object))),
                Wanted::Set(object) => self.steps.push(Step::Set(service.conf(env), json::bytes(object), version)),
                Wanted::Delete => {}
            }
        }
        for (env, _) in self.deleted() {
            let version = tree.envs.get(&env).map_or(-1, |nodes| nodes.conf.stat.version);
            self.steps.push(Step::Delete(service.conf(&env), version));
        }
        for env in self.affected().into_iter().filter(|env| !is_changed(env)) {
            self.check_conf(&env);
        }
    }

    /// The environments that are deleted, those below others first.
    fn deleted(&self) -> Vec<(Env, Wanted)> {
        let deleted = self.change.confs.iter().rev().filter(|(_, wanted)| **wanted == Wanted::Delete);
        deleted.map(|(env, wanted)| (env.clone(), wanted.clone())).collect()
    }

    /// The environments after the change that are changed or inherit from a changed one.
    fn affected(&self) -> Vec<Env> {
        let is_below = |env: &Env| self.change.confs.keys().any(|changed| env.is_within(changed));
        let is_deleted = |env: &Env| self.change.confs.get(env) == Some(&Wanted::Delete);
        let all: BTreeSet<&Env> = self.tree.envs.keys().chain(self.change.confs.keys()).collect();
        all.into_iter().filter(|env| is_below(env) && !is_deleted(env)).cloned().collect()
    }

    /// The view of an environment after the change.
    fn fold(&self, env: &Env) -> Result<Object, String> {
        let wanted: BTreeMap<Env, Result<Object, String>> = env
            .lineage()
            .filter_map(|env| match self.change.confs.get(&env)? {
                Wanted::Create(object) | Wanted::Set(object) => Some((env, Ok(object.clone()))),
                Wanted::Delete => None,
            })
            .collect();
        let conf = |env: &Env| wanted.get(env).or_else(|| self.tree.envs.get(env).map(|nodes| &nodes.conf.object));
        fold(env, conf).map_err(|why| broken(self.tree, &why.env, &why.reason))
    }

    fn views(&mut self) -> Result<(), String> {
        let affected = self.affected();
        // A view needs the nodes above it.
        let missing = |env: &Env| self.tree.envs.get(env).is_some_and(|nodes| nodes.view.is_none());
        let above: BTreeSet<Env> = affected.iter().flat_map(Env::lineage).filter(missing).collect();
        let all: BTreeSet<Env> = affected.into_iter().chain(above).collect();
        for env in all {
            let view = self.fold(&env)?;
            let now = self.tree.envs.get(&env).and_then(|nodes| nodes.view.as_ref());
            if now.and_then(|node| node.object.as_ref().ok()) != Some(&view) {
                self.write_view(&env, view);
            }
        }
        for (env, _) in self.deleted() {
            let view = self.tree.envs.get(&env).and_then(|nodes| nodes.view.as_ref());
            if let Some(view) = view {
                self.steps.push(Step::Delete(self.tree.service.view(&env), view.stat.version));
                let before = view.object.clone().ok();
                self.views.push(ObjectDiff { env, before, after: None, hosts: Vec::new() });
            }
        }
        Ok(())
    }

    fn write_view(&mut self, env: &Env, view: Object) {
        let (path, data) = (self.tree.service.view(env), json::bytes(&view));
        let now = self.tree.envs.get(env).and_then(|nodes| nodes.view.as_ref());
        self.entry.views.insert(env.to_string(), sha256(&data));
        // A view may be there without a `conf`, as a deletion leaves it that was cut off.
        self.steps.push(match now {
            Some(node) => Step::Set(path, data, node.stat.version),
            None if self.tree.orphans.contains(env) => Step::Set(path, data, -1),
            None => Step::Create(path, data),
        });
        let hosts = self.tree.readers(env).into_iter().map(str::to_owned).collect();
        let before = now.and_then(|node| node.object.clone().ok());
        self.views.push(ObjectDiff { env: env.clone(), before, after: Some(view), hosts });
    }

    /// The other nodes, and the associations.
    fn nodemaps(&mut self) -> Result<Moves, String> {
        let (tree, change) = (self.tree, self.change);
        for env in &change.needed {
            if !change.confs.contains_key(env) {
                self.steps.push(Step::Check(tree.service.conf(env), -1));
            }
        }
        for (path, data) in change.nodes.iter().filter_map(|(path, data)| Some((path, data.as_ref()?))) {
            match tree.frozen.get(path) {
                Some(node) => self.steps.push(Step::Set(path.clone(), data.clone(), node.stat.version)),
                None => self.steps.push(Step::Create(path.clone(), data.clone())),
            }
        }
        let path = tree.service.nodemaps();
        let mut hosts = BTreeMap::new();
        if !change.hosts.is_empty() || change.encoding.is_some() {
            let node = tree.nodemaps.as_ref().map_err(|why| format!("{path} cannot be used: {why}"))?;
            let mut maps = node.maps.clone();
            maps.encoding = change.encoding.or(maps.encoding);
            for (host, wanted) in &change.hosts {
                let before = match wanted {
                    Some(path) => maps.hosts.insert(host.clone(), path.clone()),
                    None => maps.hosts.remove(host),
                };
                hosts.insert(host.clone(), (before, wanted.clone()));
            }
            let kept = records::arrows(&tree.service);
            let default = if tree.frozen.contains_key(&kept) { Encoding::Arrows } else { Encoding::Json };
            let data = maps.write(default).map_err(|why| format!("{path}: {why}"))?;
            match (maps.encoding.unwrap_or(default), tree.frozen.get(&kept)) {
                // No lines are no data, which does not tell the encoding.
                (Encoding::Arrows, None) if data.is_empty() => self.steps.push(Step::Create(kept, Vec::new())),
                (Encoding::Json, Some(node)) => self.steps.push(Step::Delete(kept, node.stat.version)),
                _ => {}
            }
            self.steps.push(match node.stat {
                Some(stat) => Step::Set(path, data, stat.version),
                None => Step::Create(path, data),
            });
        } else if !self.deleted().is_empty()
            && let Some(stat) = tree.nodemaps.as_ref().ok().and_then(|node| node.stat)
        {
            // Nobody may associate a host with it at the same moment.
            self.steps.push(Step::Check(path, stat.version));
        }
        for (path, _) in change.nodes.iter().rev().filter(|(_, data)| data.is_none()) {
            if let Some(node) = tree.frozen.get(path) {
                self.steps.push(Step::Delete(path.clone(), node.stat.version));
            }
        }
        Ok(hosts)
    }

    fn conf_diffs(&self) -> Vec<ObjectDiff> {
        let diff = |(env, wanted): (&Env, &Wanted)| {
            let before = self.tree.envs.get(env).map(|nodes| nodes.conf.object.clone().unwrap_or_default());
            let after = match wanted {
                Wanted::Create(object) | Wanted::Set(object) => Some(object.clone()),
                Wanted::Delete => None,
            };
            ObjectDiff { env: env.clone(), before, after, hosts: Vec::new() }
        };
        self.change.confs.iter().map(diff).collect()
    }
}

fn env_change(tree: &Tree, diff: &ObjectDiff) -> EnvChange {
    let before = |node: &Node| Before { version: node.stat.version, conf: node.object.clone().ok() };
    let before = tree.envs.get(&diff.env).map(|nodes| before(&nodes.conf));
    EnvChange { env: diff.env.clone(), before, after: diff.after.clone() }
}

fn broken(tree: &Tree, env: &Env, reason: &str) -> String {
    let path = tree.service.conf(env);
    format!(
        "{path} is not a valid configuration: {reason}; replace it with `{}`",
        rosterd(&["jones", "apply", &name(&tree.service, env)])
    )
}
