//! What a change must not do to the tree of a service.

use super::path::Env;
use super::proposal::{Change, Wanted};
use super::tree::Tree;
use super::words::{hosts, listed, name};

/// Whether the environments that the change needs are there, and those that it deletes are free.
///
/// # Errors
/// One is missing, or has environments or hosts: the way out.
pub fn check_shape(tree: &Tree, change: &Change) -> Result<(), String> {
    let will_exist = |env: &Env| match change.confs.get(env) {
        Some(wanted) => *wanted != Wanted::Delete,
        None => tree.envs.contains_key(env),
    };
    for (env, wanted) in &change.confs {
        if *wanted == Wanted::Delete {
            check_deletion(tree, change, env)?;
        } else if let Some(parent) = env.parent().filter(|parent| !will_exist(parent)) {
            let (shown, parent) = (name(&tree.service, env), name(&tree.service, &parent));
            return Err(format!("{shown}: its parent {parent} does not exist; create it first"));
        }
    }
    if let Some(env) = change.needed.iter().find(|env| !will_exist(env)) {
        return Err(format!("{} does not exist; create it first", name(&tree.service, env)));
    }
    Ok(())
}

fn check_deletion(tree: &Tree, change: &Change, env: &Env) -> Result<(), String> {
    let shown = name(&tree.service, env);
    if env.is_root() {
        return Err(format!("{shown}: the root environment goes with its service only"));
    }
    let stays = |child: &&Env| change.confs.get(*child) != Some(&Wanted::Delete);
    let children: Vec<String> = tree.children(env).filter(stays).map(|child| name(&tree.service, child)).collect();
    if !children.is_empty() {
        return Err(format!("{shown} has environments below it: {}; delete them first", children.join(", ")));
    }
    if let Err(why) = &tree.nodemaps {
        return Err(format!("{shown}: hosts may read it: {} cannot be used: {why}", tree.service.nodemaps()));
    }
    let mut names = tree.all_readers(env);
    names.retain(|host| !change.hosts.contains_key(*host));
    if !names.is_empty() {
        let (count, names) = (hosts(names.len()), listed(&names));
        return Err(format!("{shown} is read by {count}: {names}; dissociate them first"));
    }
    Ok(())
}
