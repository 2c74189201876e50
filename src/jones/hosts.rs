//! Proposals that change which host reads which view.

use crate::error::{Cause, Exit, Fatal};
use crate::text::command::rosterd;

use super::path::{Env, Service};
use super::proposal::{HostEdit, Proposal};
use super::tree::Tree;
use super::words::name;

/// Parses the name of a host.
///
/// # Errors
/// It is not a name that `nodemaps` and the records of pins can have: why.
pub fn parse(text: &str) -> Result<String, String> {
    // Its pin is recorded in a node of its name.
    let name = Service::parse(text).map_err(|why| why.to_string())?;
    if text.contains(char::is_whitespace) {
        return Err("a host name has no spaces".to_owned());
    }
    Ok(name.as_str().to_owned())
}

/// The path that a host is associated with.
pub fn path_of(tree: &Tree, host: &str) -> Option<String> {
    tree.hosts().find(|(name, _)| *name == host).map(|(_, path)| path.to_owned())
}

/// Lets hosts read the view of an environment.
///
/// # Errors
/// There is no such environment.
pub fn associate(tree: &Tree, env: &Env, hosts: impl IntoIterator<Item = String>) -> Result<Proposal, Fatal> {
    if !tree.envs.contains_key(env) {
        let shown = name(&tree.service, env);
        let message =
            format!("there is no environment {shown}; create it with `{}`", rosterd(&["jones", "create", &shown]));
        return Err(Fatal::new(Exit::Failed, message).of(Cause::Missing));
    }
    let wanted = tree.service.view(env).to_string();
    let edit = |host: String| {
        let base = path_of(tree, &host);
        (host, HostEdit { base, wanted: Some(wanted.clone()), env: Some(env.clone()) })
    };
    Ok(Proposal { hosts: hosts.into_iter().map(edit).collect(), ..Proposal::default() })
}

/// Removes the associations of hosts.
///
/// # Errors
/// One has none.
pub fn dissociate(tree: &Tree, hosts: impl IntoIterator<Item = String>) -> Result<Proposal, Fatal> {
    let edit = |host: String| {
        let Some(base) = path_of(tree, &host) else {
            let message = format!("{}: host {host} has no association", tree.service);
            return Err(Fatal::new(Exit::Failed, message).of(Cause::Missing));
        };
        Ok((host, HostEdit { base: Some(base), wanted: None, env: None }))
    };
    let hosts = hosts.into_iter().map(edit).collect::<Result<_, _>>()?;
    Ok(Proposal { hosts, ..Proposal::default() })
}
