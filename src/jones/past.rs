//! What a service was at a revision, from the entries of its history and what it is now.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::{Entry, EnvChange};
use super::json::Object;
use super::path::Env;
use super::proposal::{ConfEdit, Proposal};
use super::tree::Tree;
use super::words::name;
use crate::text::command::rosterd;

#[cfg(test)]
mod tests;

/// A service at a revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The `conf` of each environment, or why it is not known.
    pub confs: BTreeMap<Env, Result<Object, String>>,
    /// The path of each host with an association.
    pub hosts: BTreeMap<String, String>,
}

/// A service at a revision: an environment is what the last entry up to the revision made of it, else what the first
/// later one found, else what it is now.
///
/// # Errors
/// There is no such revision: which there are.
pub fn at(entries: &BTreeMap<u64, &Entry>, revision: u64, tree: &Tree) -> Result<Past, String> {
    if !entries.contains_key(&revision) {
        let known = match (entries.keys().next(), entries.keys().next_back()) {
            (Some(first), Some(last)) => format!("the history of {} has r{first} to r{last}", tree.service),
            _ => format!(
                "{} has no history yet; begin one with `{}`",
                tree.service,
                rosterd(&["jones", "adopt", tree.service.as_str()])
            ),
        };
        return Err(format!("there is no revision r{revision}: {known}"));
    }
    let now = |env: &Env| tree.envs.get(env).map(|nodes| nodes.conf.object.clone());
    let touched = entries.values().flat_map(|entry| entry.changes.iter().map(|change| change.env.clone()));
    let envs: BTreeSet<Env> = tree.envs.keys().cloned().chain(touched).collect();
    let mut confs = BTreeMap::new();
    for env in envs {
        let change = |entry: &&Entry| entry.changes.iter().find(|change| change.env == env).cloned();
        let earlier = entries.range(..=revision).rev().find_map(|(_, entry)| change(entry));
        let later = || entries.range(revision + 1..).find_map(|(_, entry)| change(entry));
        let conf = match earlier {
            Some(change) => change.after.map(Ok),
            None => match later() {
                Some(change) => change.before.map(|before| {
                    before.conf.ok_or_else(|| "it was too large to be kept, or was not an object".to_owned())
                }),
                None => now(&env),
            },
        };
        if let Some(conf) = conf {
            confs.insert(env, conf);
        }
    }
    let mut hosts: BTreeMap<String, String> =
        tree.hosts().map(|(host, path)| (host.to_owned(), path.to_owned())).collect();
    for entry in entries.range(revision + 1..).rev().map(|(_, entry)| entry) {
        for (host, (before, _)) in &entry.nodemaps {
            match before {
                Some(path) => _ = hosts.insert(host.clone(), path.clone()),
                None => _ = hosts.remove(host),
            }
        }
    }
    Ok(Past { confs, hosts })
}

impl Past {
    /// The view of an environment then.
    ///
    /// # Errors
    /// It did not exist, or a `conf` is not known.
    pub fn view(&self, env: &Env) -> Result<Object, String> {
        if !self.confs.contains_key(env) {
            return Err("the environment did not exist at that revision".to_owned());
        }
        super::tree::fold(env, |env| self.confs.get(env)).map_err(|why| why.reason)
    }
}

/// A new revision with the content of an old one, and the environments that are left as they are because the old one
/// does not have them.
///
/// # Errors
/// The environment, if one is given, did not exist then, or a `conf` is not known.
pub fn rollback(tree: &Tree, past: &Past, revision: u64, only: Option<&Env>) -> Result<(Proposal, Vec<Env>), String> {
    let mut proposal = Proposal::default();
    let is_wanted = |env: &Env| only.is_none_or(|only| only == env);
    for (env, conf) in past.confs.iter().filter(|(env, _)| is_wanted(env)) {
        let wanted = conf.clone().map_err(|why| format!("{} at r{revision}: {why}", name(&tree.service, env)))?;
        let base = tree.envs.get(env).map(|nodes| nodes.conf.object.clone().unwrap_or_default());
        proposal.confs.insert(env.clone(), ConfEdit { base, wanted: Some(wanted), version: None });
    }
    if proposal.confs.is_empty() {
        let shown = only.map(|env| name(&tree.service, env)).unwrap_or_default();
        return Err(format!("{shown} did not exist at r{revision}"));
    }
    let is_newer = |env: &&Env| is_wanted(env) && !past.confs.contains_key(*env);
    Ok((proposal, tree.envs.keys().filter(is_newer).cloned().collect()))
}

/// The content before a change; that of the entry before, if this one left it out.
pub fn former(entries: &BTreeMap<u64, &Entry>, revision: u64, change: &EnvChange) -> Option<Object> {
    let before = change.before.as_ref()?;
    let earlier = || {
        let entries = entries.range(..revision).rev().map(|(_, entry)| entry);
        entries.flat_map(|entry| &entry.changes).find(|earlier| earlier.env == change.env)?.after.clone()
    };
    before.conf.clone().or_else(earlier)
}
