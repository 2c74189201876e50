//! Proposals for hosts that read what a change would make of their view.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{Cause, Fatal};
use crate::model::digest::digest;
use crate::model::node_path::NodePath;

use super::hosts::path_of;
use super::json::{self, Json, Object};
use super::path::{Env, Kind, Service};
use super::pins::{env_of, failed, former, put, sweep};
use super::proposal::{ConfEdit, HostEdit, Proposal};
use super::tree::{Tree, fold};
use super::words::name;

/// Which hosts read the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// These.
    Hosts(Vec<String>),
    /// This share of the hosts that the change would reach.
    Percent(u8),
}

/// The record of a canary: the change that it tries.
pub struct Trial {
    /// The environment.
    pub env: Env,
    /// Its own configuration before.
    pub base: Object,
    /// And with the change.
    pub wanted: Object,
}

/// The node of that record. Those of its hosts are below it.
fn record_of(service: &Service, id: &Service) -> NodePath {
    service.records().child("canary").child(id.as_str())
}

impl Trial {
    fn write(&self) -> Vec<u8> {
        let mut out = Object::new();
        out.insert("env".to_owned(), self.env.to_string().into());
        out.insert("base".to_owned(), Json::Object(self.base.clone()));
        out.insert("conf".to_owned(), Json::Object(self.wanted.clone()));
        json::bytes(&out)
    }

    /// The change that a canary tries.
    ///
    /// # Errors
    /// There is no such canary: which there are. Or its record is damaged.
    pub fn read(tree: &Tree, id: &Service) -> Result<Self, Fatal> {
        let path = record_of(&tree.service, id);
        let Some(node) = tree.frozen.get(&path) else {
            let known = ids(tree);
            let known =
                if known.is_empty() { "there is none".to_owned() } else { format!("there is {}", known.join(", ")) };
            return Err(failed(format!("{}: there is no canary {id}: {known}", tree.service)).of(Cause::Missing));
        };
        let damaged = || failed(format!("{path} is not the record of a canary; abort it"));
        let object = node.object.as_ref().map_err(|_| damaged())?;
        let part = |key: &str| object.get(key).and_then(Json::as_object).cloned().ok_or_else(damaged);
        let env = object.get("env").and_then(Json::as_str).and_then(|env| Env::parse(env).ok()).ok_or_else(damaged)?;
        Ok(Self { env, base: part("base")?, wanted: part("conf")? })
    }
}

/// The names of the canaries that have a record.
pub fn ids(tree: &Tree) -> Vec<&str> {
    let directory = tree.service.records().child("canary");
    tree.frozen.keys().filter(|path| parent_is(path, &directory)).map(NodePath::name).collect()
}

fn parent_is(path: &NodePath, parent: &NodePath) -> bool {
    parent.segments_below(path.as_str()).is_some_and(|segments| segments.len() == 1)
}

/// Lets some hosts read what a change would make of their view.
///
/// # Errors
/// There is a canary of this name, the change changes nothing or does not reach a host, or a `conf` is not an object.
pub fn begin(tree: &Tree, id: &Service, trial: &Trial, share: &Share) -> Result<Proposal, Fatal> {
    let service = &tree.service;
    if tree.frozen.contains_key(&record_of(service, id)) {
        let message =
            format!("{service}: there is a canary {id} already; promote or abort it, or give this one another --id");
        return Err(failed(message));
    }
    let hosts = chosen(tree, id, &trial.env, share)?;
    let mut proposal = Proposal::default();
    let confs = |env: &Env| tree.envs.get(env).map(|nodes| &nodes.conf.object);
    let wanted = Ok(trial.wanted.clone());
    for (host, env) in hosts {
        let view = fold(&env, |env| if *env == trial.env { Some(&wanted) } else { confs(env) });
        let view = view.map_err(|why| failed(format!("{}: {}", name(service, &why.env), why.reason)))?;
        let (path, base) = (service.canary(id.as_str(), &env), path_of(tree, &host));
        put(&mut proposal.nodes, tree, &service.path(), path.clone(), json::bytes(&view));
        let record = record_of(service, id).child(&host);
        let before = base.clone().unwrap_or_default().into_bytes();
        put(&mut proposal.nodes, tree, &service.records(), record, before);
        proposal.hosts.insert(host, HostEdit { base, wanted: Some(path.to_string()), env: Some(env) });
    }
    put(&mut proposal.nodes, tree, &service.records(), record_of(service, id), trial.write());
    proposal.expected.insert(record_of(service, id), None);
    Ok(proposal)
}

/// A host with the environment whose view it reads, if a change of `env` reaches it.
fn reached(tree: &Tree, env: &Env, host: &str) -> Result<(String, Env), Fatal> {
    let own = env_of(tree, host)?;
    if own.is_within(env) {
        return Ok((host.to_owned(), own));
    }
    let service = &tree.service;
    let (own, env) = (name(service, &own), name(service, env));
    Err(failed(format!("{service}: host {host} reads {own}, which the change of {env} does not reach")))
}

/// The hosts of a canary, each with the environment whose view it reads.
fn chosen(tree: &Tree, id: &Service, env: &Env, share: &Share) -> Result<Vec<(String, Env)>, Fatal> {
    let service = &tree.service;
    let percent = match share {
        Share::Percent(percent) => *percent,
        Share::Hosts(hosts) => return hosts.iter().map(|host| reached(tree, env, host)).collect(),
    };
    let mut found: Vec<(String, Env)> = tree
        .hosts()
        .filter_map(|(host, _)| Some((host.to_owned(), env_of(tree, host).ok()?)))
        .filter(|(_, own)| own.is_within(env))
        .collect();
    if found.is_empty() {
        return Err(failed(format!("{}: the change reaches no associated host", name(service, env))));
    }
    // The same hosts for the same canary, whoever asks, and more of them with a larger share.
    found.sort_by_key(|(host, _)| digest([id.as_str(), host.as_str()].into_iter()));
    let count = (found.len() * usize::from(percent)).div_ceil(100);
    found.truncate(count);
    Ok(found)
}

/// The end of a canary: its hosts read what they read before, and its nodes are deleted.
fn end(tree: &Tree, id: &Service) -> Proposal {
    let service = &tree.service;
    let mut proposal = Proposal::default();
    let name: Arc<str> = Arc::from(id.as_str());
    for (host, path) in tree.hosts() {
        let kind = service.destination(path).map(|found| found.kind);
        let Ok(Kind::Canary(of, env)) = kind else { continue };
        if of != name {
            continue;
        }
        let record = record_of(service, id).child(host);
        let wanted = match tree.frozen.get(&record) {
            Some(_) => former(tree, &record),
            None => Some(service.view(&env).to_string()),
        };
        proposal.hosts.insert(host.to_owned(), HostEdit { base: Some(path.to_owned()), wanted, env: Some(env) });
    }
    let record = record_of(service, id);
    let data = tree.frozen.get(&record).map(|node| node.data.to_vec());
    proposal.expected.insert(record.clone(), data);
    for root in [record, service.canary(id.as_str(), &Env::ROOT)] {
        sweep(&mut proposal.nodes, tree, &root, &BTreeSet::new());
    }
    proposal
}

/// Publishes the change of a canary for all hosts.
///
/// # Errors
/// There is no such canary, or its record is damaged.
pub fn promote(tree: &Tree, id: &Service) -> Result<Proposal, Fatal> {
    let trial = Trial::read(tree, id)?;
    let mut proposal = end(tree, id);
    let edit = ConfEdit { base: Some(trial.base), wanted: Some(trial.wanted), version: None };
    proposal.confs.insert(trial.env, edit);
    Ok(proposal)
}

/// Drops a canary.
///
/// # Errors
/// There is no such canary.
pub fn abort(tree: &Tree, id: &Service) -> Result<Proposal, Fatal> {
    let proposal = end(tree, id);
    if proposal.nodes.is_empty() && proposal.hosts.is_empty() {
        Trial::read(tree, id)?;
    }
    Ok(proposal)
}
