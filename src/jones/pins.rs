//! Proposals for hosts that read their view as it was.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Exit, Fatal};
use crate::model::node_path::NodePath;

use super::hosts::path_of;
use super::json;
use super::past::Past;
use super::path::{Env, Kind};
use super::proposal::{HostEdit, Proposal};
use super::tree::Tree;
use super::words::name;

/// A refusal.
pub fn failed(why: impl Into<String>) -> Fatal {
    Fatal::new(Exit::Failed, why)
}

/// The environment whose view a host reads.
///
/// # Errors
/// It reads a pin, a canary, or no view.
pub fn env_of(tree: &Tree, host: &str) -> Result<Env, Fatal> {
    let service = &tree.service;
    let found =
        tree.destination(host).map_err(|why| failed(format!("{service}: host {host} is associated with {why}")))?;
    match found.kind {
        Kind::View(env) | Kind::Conf(env) => Ok(env),
        Kind::Pin(revision, _) => {
            Err(failed(format!("{service}: host {host} is pinned to r{revision}; unpin it first")))
        }
        Kind::Canary(id, _) => Err(failed(format!("{service}: host {host} is in the canary {id} already"))),
        Kind::Other => Err(failed(format!("{service}: host {host} reads {}, which is not a view", found.path))),
    }
}

/// Adds a node, with those above it that are missing, down from below `root`.
pub fn put(
    nodes: &mut BTreeMap<NodePath, Option<Vec<u8>>>,
    tree: &Tree,
    root: &NodePath,
    path: NodePath,
    data: Vec<u8>,
) {
    let segments = root.segments_below(path.as_str()).unwrap_or_default();
    let mut above = root.clone();
    for name in segments {
        above = above.child(name);
        if above != path && !tree.frozen.contains_key(&above) {
            nodes.entry(above.clone()).or_insert_with(|| Some(Vec::new()));
        }
    }
    nodes.insert(path, Some(data));
}

/// Deletes what is below `root`, unless a path in `used` needs it.
pub fn sweep(nodes: &mut BTreeMap<NodePath, Option<Vec<u8>>>, tree: &Tree, root: &NodePath, used: &BTreeSet<String>) {
    let is_used =
        |path: &NodePath| used.iter().any(|used| used == path.as_str() || used.starts_with(&format!("{path}/")));
    for path in tree.frozen.keys().filter(|path| root.segments_below(path.as_str()).is_some()) {
        if !is_used(path) && !matches!(nodes.get(path), Some(Some(_))) {
            nodes.insert(path.clone(), None);
        }
    }
}

/// What a host read before it was pinned or got into a canary.
pub fn former(tree: &Tree, record: &NodePath) -> Option<String> {
    let node = tree.frozen.get(record)?;
    String::from_utf8(node.data.to_vec()).ok().filter(|path| !path.is_empty())
}

/// Lets hosts read their view as it was at a revision.
///
/// # Errors
/// A host reads no view, or a pin or canary already, or its view is not known at that revision.
pub fn pin(
    tree: &Tree,
    past: &Past,
    revision: u64,
    hosts: impl IntoIterator<Item = String>,
) -> Result<Proposal, Fatal> {
    let service = &tree.service;
    let mut proposal = Proposal::default();
    for host in hosts {
        let env = env_of(tree, &host)?;
        let shown = name(service, &env);
        let (pin, base) = (service.pin(revision, &env), path_of(tree, &host));
        let data = if let Some(node) = tree.frozen.get(&pin).filter(|node| node.object.is_ok()) {
            // Hosts read it already.
            node.data.to_vec()
        } else {
            let view = past.view(&env);
            json::bytes(&view.map_err(|why| failed(format!("{shown} at r{revision}: {why}")))?)
        };
        put(&mut proposal.nodes, tree, &service.path(), pin.clone(), data);
        let record = service.records().child("pins").child(&host);
        let before = base.clone().unwrap_or_default().into_bytes();
        put(&mut proposal.nodes, tree, &service.records(), record, before);
        proposal.hosts.insert(host, HostEdit { base, wanted: Some(pin.to_string()), env: Some(env) });
    }
    Ok(proposal)
}

/// Lets pinned hosts read what they read before.
///
/// # Errors
/// One is not pinned.
pub fn unpin(tree: &Tree, hosts: impl IntoIterator<Item = String>) -> Result<Proposal, Fatal> {
    let service = &tree.service;
    let mut proposal = Proposal::default();
    for host in hosts {
        let base = path_of(tree, &host);
        let kind = base.as_ref().and_then(|path| service.destination(path).ok()).map(|found| found.kind);
        let Some(Kind::Pin(_, env)) = kind else {
            return Err(failed(format!("{service}: host {host} is not pinned")));
        };
        let record = service.records().child("pins").child(&host);
        let wanted = match tree.frozen.get(&record) {
            Some(_) => former(tree, &record),
            None => Some(service.view(&env).to_string()),
        };
        if tree.frozen.contains_key(&record) {
            proposal.nodes.insert(record, None);
        }
        proposal.hosts.insert(host, HostEdit { base, wanted, env: Some(env) });
    }
    let others = tree.hosts().filter(|(host, _)| !proposal.hosts.contains_key(*host));
    let used: BTreeSet<String> = others.map(|(_, path)| path.to_owned()).collect();
    sweep(&mut proposal.nodes, tree, &service.path().child("pins"), &used);
    Ok(proposal)
}
