//! One transaction: steps as operations, with the access control lists of new nodes.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Cause, Exit, Fatal};
use crate::jones::acl;
use crate::jones::entry::Entry;
use crate::jones::path::{Env, Service};
use crate::jones::plan::Step;
use crate::jones::records::{self, PREFIX};
use crate::model::node_path::NodePath;
use crate::model::version::Zxid;
use crate::zk::{Acl, Connection, CreateMode, Done, NewNode, Operation, Refusal, ServerError};

use super::{CHANGED, Stop, failed, found};

/// What became of one transaction.
pub enum Sent {
    /// It was done: the revision, and the transaction.
    Done(u64, Zxid),
    /// Something that it depends on has changed.
    Raced,
}

/// The access control list of each node that a transaction creates.
pub struct Lists<'a> {
    /// By path.
    pub create: BTreeMap<&'a NodePath, Vec<Acl>>,
    /// That of the entry.
    pub default: &'a [Acl],
}

/// The operations of steps.
pub fn operations<'a>(steps: &'a [Step], lists: &'a Lists<'_>, history: &'a str) -> Vec<Operation<'a>> {
    let one = |step: &'a Step| match step {
        Step::Check(path, version) => Operation::Check { path: path.as_str(), version: *version },
        Step::Set(path, data, version) => Operation::SetData { path: path.as_str(), data, version: *version },
        Step::Delete(path, version) => Operation::Delete { path: path.as_str(), version: *version },
        Step::Create(path, data) => {
            let acl = lists.create.get(path).map_or(lists.default, Vec::as_slice);
            Operation::Create(NewNode { path: path.as_str(), data, acl, mode: CreateMode::Persistent })
        }
        Step::Record(data) => {
            let mode = CreateMode::PersistentSequential;
            Operation::Create(NewNode { path: history, data, acl: lists.default, mode })
        }
    };
    steps.iter().map(one).collect()
}

/// Sends a transaction whose new nodes get the list of the node above them, and whose entry gets this one.
pub async fn send(connection: &Connection, service: &Service, steps: &[Step], entry: &[Acl]) -> Result<Sent, Stop> {
    let created: BTreeSet<&NodePath> =
        steps.iter().filter_map(|step| if let Step::Create(path, _) = step { Some(path) } else { None }).collect();
    let mut lists = Lists { create: BTreeMap::new(), default: entry };
    for path in &created {
        let above = std::iter::successors(parent(path), parent).find(|path| !created.contains(path));
        let above = above.unwrap_or_else(NodePath::root);
        match list_to_copy(connection, &above).await? {
            Some(list) => _ = lists.create.insert(path, list),
            None => return Ok(Sent::Raced),
        }
    }
    send_with(connection, service, steps, &lists).await
}

/// Sends a transaction whose new nodes get these lists.
pub async fn send_with(
    connection: &Connection,
    service: &Service,
    steps: &[Step],
    lists: &Lists<'_>,
) -> Result<Sent, Stop> {
    for step in steps {
        if let Step::Record(data) = step {
            Entry::verify(data)
                .map_err(|why| Fatal::new(Exit::Failed, format!("{service}: {why}; nothing was written")))?;
        }
    }
    let history = records::history(service).child(PREFIX);
    let reply = connection.multi(&operations(steps, lists, history.as_str())).await?;
    match reply.value {
        Ok(Ok(done)) => {
            let digits = done.iter().find_map(|done| match done {
                Done::Created(path) if path.contains(history.as_str()) => {
                    path.rsplit_once('-').map(|(_, number)| number)
                }
                _ => None,
            });
            Ok(Sent::Done(digits.and_then(|digits| digits.parse().ok()).unwrap_or_default(), reply.zxid))
        }
        Ok(Err(Refusal { error: ServerError::BadVersion | ServerError::NoNode | ServerError::NodeExists, .. })) => {
            Ok(Sent::Raced)
        }
        Ok(Err(Refusal { at, error })) => {
            let (path, tried) = steps.get(at).map_or((history.as_str(), "create"), describe);
            let path = if path.is_empty() { history.as_str() } else { path };
            Err(failed(tried, path, error).into())
        }
        Err(error) => Err(failed("write", service.path().as_str(), error).into()),
    }
}

fn describe(step: &Step) -> (&str, &'static str) {
    match step {
        Step::Check(path, _) => (path.as_str(), "read"),
        Step::Create(path, _) => (path.as_str(), "create"),
        Step::Set(path, ..) => (path.as_str(), "write"),
        Step::Delete(path, _) => (path.as_str(), "delete"),
        Step::Record(_) => ("", "create an entry in"),
    }
}

fn parent(path: &NodePath) -> Option<NodePath> {
    let (above, _) = path.as_str().rsplit_once('/')?;
    if path.is_root() { None } else { NodePath::parse(if above.is_empty() { "/" } else { above }).ok() }
}

/// The access control list of a node, for a new node below it. `None`, if there is no such node.
pub async fn list_to_copy(connection: &Connection, path: &NodePath) -> Result<Option<Vec<Acl>>, Stop> {
    let list = found(connection.acl(path.as_str()).await, "read the ACL of", path)?;
    let Some((list, _)) = list else { return Ok(None) };
    if acl::is_masked(&list) {
        let message = format!(
            "the ACL of {path} is masked for these credentials ({}), so it cannot be copied to new nodes: nothing was \
             written; use credentials that may administrate the node",
            acl::text(&list)
        );
        return Err(Fatal::new(Exit::Failed, message).of(Cause::Denied).into());
    }
    Ok(Some(list))
}

/// Creates the directory of a service's history, if it is missing. Returns the list of its entries.
pub async fn ensure_history(
    connection: &Connection,
    service: &Service,
    auditor: Option<&Acl>,
) -> Result<Vec<Acl>, Stop> {
    let directory = records::history(service);
    let list = found(connection.acl(directory.as_str()).await, "read the ACL of", &directory)?;
    if let Some((list, _)) = list {
        // One that is open for writing shows its list to everybody.
        return Ok(acl::entry(&list));
    }
    let conf = service.conf(&Env::ROOT);
    let mut above: Vec<NodePath> = std::iter::successors(parent(&directory), parent).collect();
    above.retain(|path| !path.is_root());
    for path in above.into_iter().rev() {
        // The one of the service belongs to its writers, those above to all services.
        let like = if path == service.records() { conf.clone() } else { NodePath::root().child("services") };
        let like = list_to_copy(connection, &like).await?;
        let Some(list) = like.or(list_to_copy(connection, &conf).await?) else { continue };
        create_missing(connection, &path, &list).await?;
    }
    let Some(list) = list_to_copy(connection, &conf).await? else {
        return Err(Fatal::new(CHANGED, format!("{conf} was deleted meanwhile")).into());
    };
    let list = acl::history(&list, auditor);
    create_missing(connection, &directory, &list).await?;
    Ok(acl::entry(&list))
}

/// Creates a node without data, unless it exists.
pub async fn create_missing(connection: &Connection, path: &NodePath, acl: &[Acl]) -> Result<(), Stop> {
    let node = NewNode { path: path.as_str(), data: b"", acl, mode: CreateMode::Persistent };
    match connection.create(node).await?.value {
        Ok(()) | Err(ServerError::NodeExists) => Ok(()),
        // A node that may not be created may exist.
        Err(ServerError::NoAuth) if matches!(connection.exists(path.as_str(), false).await?.value, Ok(Some(_))) => {
            Ok(())
        }
        Err(error) => Err(failed("create", path.as_str(), error).into()),
    }
}
