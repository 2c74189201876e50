//! What is wrong with a service, and what to do.

use std::collections::{BTreeMap, BTreeSet};

use super::path::{Env, Kind};
use super::tree::Tree;
use super::words::{hosts, listed, name};
use crate::text::command::rosterd;

#[cfg(test)]
mod tests;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What, where, and the way out.
    pub text: String,
    /// Whether `check --repair` corrects it.
    pub is_repairable: bool,
}

fn finding(text: String, is_repairable: bool) -> Finding {
    Finding { text, is_repairable }
}

/// Everything that is wrong with the nodes of a service.
pub fn findings(tree: &Tree) -> Vec<Finding> {
    let service = &tree.service;
    if !tree.envs.contains_key(&Env::ROOT) {
        let text = format!(
            "{service}: {} is missing; complete it with `{}`",
            service.conf(&Env::ROOT),
            rosterd(&["jones", "init", service.as_str()])
        );
        return vec![finding(text, false)];
    }
    let mut found = Vec::new();
    for (env, nodes) in &tree.envs {
        let shown = name(service, env);
        if let Err(why) = &nodes.conf.object {
            let text = format!(
                "{shown}: its own configuration is not an object: {why}; replace it with `{}`",
                rosterd(&["jones", "apply", &shown, "FILE"])
            );
            found.push(finding(text, false));
            continue;
        }
        if tree.fold(env).is_err() {
            continue;
        }
        let readers = hosts(tree.readers(env).len());
        let what = match &nodes.view {
            None => Some("the view is missing"),
            Some(view) if view.data.is_empty() => Some("the view is empty"),
            Some(view) if view.object.is_err() => Some("the view is not an object"),
            Some(_) => tree.is_stale(env).then_some("the view is stale"),
        };
        if let Some(what) = what {
            found.push(finding(format!("{shown}: {what}; read by {readers}"), true));
        }
    }
    for env in &tree.orphans {
        let text = format!("{}: a view without an environment: {}", name(service, env), service.view(env));
        found.push(finding(text, tree.readers(env).is_empty()));
    }
    found.extend(associations(tree));
    found
}

/// Associations that a client cannot use.
fn associations(tree: &Tree) -> Vec<Finding> {
    let service = &tree.service;
    let mut found = Vec::new();
    match &tree.nodemaps {
        Err(why) => found.push(finding(format!("{}: {why}", service.nodemaps()), false)),
        Ok(node) if node.stat.is_none() => {
            let text = format!("{}: the node is missing, and clients fail without it", service.nodemaps());
            found.push(finding(text, true));
        }
        Ok(_) => {}
    }
    let mut missing: Vec<(String, Vec<&str>)> = Vec::new();
    for (host, path) in tree.hosts() {
        let exists = match service.destination(path) {
            Err(why) => {
                found.push(finding(format!("{service}: host {host} is associated with {why}"), false));
                continue;
            }
            Ok(at) => match at.kind {
                Kind::View(env) => {
                    tree.envs.get(&env).is_some_and(|nodes| nodes.view.is_some()) || tree.envs.contains_key(&env)
                }
                Kind::Conf(env) => tree.envs.contains_key(&env),
                Kind::Pin(..) | Kind::Canary(..) => tree.frozen.contains_key(&at.path),
                Kind::Other => true,
            },
        };
        if !exists {
            match missing.iter_mut().find(|(known, _)| known == path) {
                Some((_, hosts)) => hosts.push(host),
                None => missing.push((path.to_owned(), vec![host])),
            }
        }
    }
    for (path, names) in missing {
        let text = format!(
            "{service}: {} associated with {path}, which does not exist: {}; associate them with another environment, or \
             dissociate them",
            if names.len() == 1 { "1 host is".to_owned() } else { format!("{} hosts are", names.len()) },
            listed(&names),
        );
        found.push(finding(text, false));
    }
    found
}

/// Views that belong to no environment and that no host reads, those below others first.
pub fn unused_views(tree: &Tree) -> Vec<Env> {
    let used: BTreeSet<Env> =
        tree.orphans.iter().filter(|env| !tree.readers(env).is_empty()).flat_map(Env::lineage).collect();
    tree.orphans.iter().rev().filter(|env| !used.contains(env)).cloned().collect()
}

/// What is special about an environment, which must exist.
pub fn marks(tree: &Tree, env: &Env) -> Vec<String> {
    let mut marks = Vec::new();
    let nodes = &tree.envs[env];
    if nodes.conf.object.is_err() {
        marks.push("not an object".to_owned());
    }
    match &nodes.view {
        None => marks.push("no view".to_owned()),
        Some(_) if tree.is_stale(env) => marks.push("stale view".to_owned()),
        Some(_) => {}
    }
    let kinds = tree.hosts().filter_map(|(_, path)| tree.service.destination(path).ok()).map(|found| found.kind);
    let mut frozen: BTreeMap<String, usize> = BTreeMap::new();
    for kind in kinds {
        match kind {
            Kind::Pin(revision, of) if of == *env => *frozen.entry(format!("pinned to r{revision}")).or_default() += 1,
            Kind::Canary(id, of) if of == *env => *frozen.entry(format!("canary {id}")).or_default() += 1,
            _ => {}
        }
    }
    marks.extend(frozen.into_iter().map(|(what, count)| format!("{what}: {}", hosts(count))));
    marks
}
