//! `pin` and `unpin`: hosts that read their view as it was.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use crate::error::{Exit, Fatal};
use crate::jones::json;
use crate::jones::past;
use crate::jones::path::{Env, Kind, Service};
use crate::jones::proposal::{HostEdit, Proposal};
use crate::jones::tree::Tree;
use crate::jones::words::name;
use crate::model::node_path::NodePath;

use super::common::{Context, WriteOptions, host, revision, service};
use super::hosts::path_of;

/// The command line of `pin`.
#[derive(Debug, Args)]
pub struct PinArgs {
    /// SERVICE
    #[arg(value_parser = service)]
    service: Service,
    /// The hosts
    #[arg(required = true, value_parser = host)]
    hosts: Vec<String>,
    /// The revision
    #[arg(long, value_name = "REV", value_parser = revision)]
    rev: u64,
    #[command(flatten)]
    write: WriteOptions,
}

/// The command line of `unpin`.
#[derive(Debug, Args)]
pub struct UnpinArgs {
    /// SERVICE
    #[arg(value_parser = service)]
    service: Service,
    /// The hosts
    #[arg(required = true, value_parser = host)]
    hosts: Vec<String>,
    #[command(flatten)]
    write: WriteOptions,
}

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

/// Runs `pin`.
pub async fn pin(context: &mut Context, args: PinArgs) -> Result<Exit, Fatal> {
    let service = &args.service;
    let tree = context.store.tree(service).await?;
    let history = context.store.history(service).await?;
    let entries = history.iter().filter_map(|(number, it)| Some((*number, it.entry.as_ref().ok()?))).collect();
    let past = past::at(&entries, args.rev, &tree).map_err(failed)?;
    let mut proposal = Proposal::default();
    for host in args.hosts {
        let env = env_of(&tree, &host)?;
        let shown = name(service, &env);
        let (pin, base) = (service.pin(args.rev, &env), path_of(&tree, &host));
        let data = if let Some(node) = tree.frozen.get(&pin).filter(|node| node.object.is_ok()) {
            // Hosts read it already.
            node.data.to_vec()
        } else {
            let view = past.view(&env);
            json::bytes(&view.map_err(|why| failed(format!("{shown} at r{}: {why}", args.rev)))?)
        };
        put(&mut proposal.nodes, &tree, &service.path(), pin.clone(), data);
        let record = service.records().child("pins").child(&host);
        let before = base.clone().unwrap_or_default().into_bytes();
        put(&mut proposal.nodes, &tree, &service.records(), record, before);
        proposal.hosts.insert(host, HostEdit { base, wanted: Some(pin.to_string()), env: Some(env) });
    }
    context.submit(tree, proposal, &format!("pin to r{}", args.rev), &args.write).await
}

/// Runs `unpin`.
pub async fn unpin(context: &mut Context, args: UnpinArgs) -> Result<Exit, Fatal> {
    let service = &args.service;
    let tree = context.store.tree(service).await?;
    let mut proposal = Proposal::default();
    for host in args.hosts {
        let base = path_of(&tree, &host);
        let kind = base.as_ref().and_then(|path| service.destination(path).ok()).map(|found| found.kind);
        let Some(Kind::Pin(_, env)) = kind else {
            return Err(failed(format!("{service}: host {host} is not pinned")));
        };
        let record = service.records().child("pins").child(&host);
        let wanted = match tree.frozen.get(&record) {
            Some(_) => former(&tree, &record),
            None => Some(service.view(&env).to_string()),
        };
        if tree.frozen.contains_key(&record) {
            proposal.nodes.insert(record, None);
        }
        proposal.hosts.insert(host, HostEdit { base, wanted, env: Some(env) });
    }
    let others = tree.hosts().filter(|(host, _)| !proposal.hosts.contains_key(*host));
    let used: BTreeSet<String> = others.map(|(_, path)| path.to_owned()).collect();
    sweep(&mut proposal.nodes, &tree, &service.path().child("pins"), &used);
    context.submit(tree, proposal, "unpin", &args.write).await
}
