//! Writes and deletes nodes. Only a node of this agent's own sessions is ever changed.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::decide::registration::Outcome;
use crate::model::registration::{NodeId, NodeName, NodeSpec};
use crate::watch::own_nodes::OwnNodes;
use crate::zk::{Acl, Bytes, Connection, ConnectionLost, CreateMode, NewNode, RequestResult, ServerError, Stat};

use super::node::open_acl;

/// How often a node may change between a look at it and the write.
const MAX_RACES: usize = 8;

/// Writes through one connection.
#[derive(Clone)]
pub struct Writer {
    /// The connection.
    pub connection: Connection,
    /// The access control list of a directory and its nodes.
    pub acl: Arc<[Acl]>,
    /// Earlier sessions of this agent. Their nodes may be replaced.
    pub earlier: Arc<[i64]>,
    /// Hears of changes of the nodes.
    pub own_nodes: Arc<OwnNodes>,
}

/// Why a write did not end with an outcome.
enum Stop {
    Lost,
    Refused(ServerError),
}

impl From<ConnectionLost> for Stop {
    fn from(_: ConnectionLost) -> Self {
        Self::Lost
    }
}

impl From<ServerError> for Stop {
    fn from(error: ServerError) -> Self {
        Self::Refused(error)
    }
}

/// The value of a reply.
fn value<T>(reply: RequestResult<T>) -> Result<T, Stop> {
    Ok(reply?.value?)
}

impl Writer {
    /// Registers a node, unless another client has it.
    pub async fn write(&self, spec: &NodeSpec) -> Outcome {
        let written = async {
            for _ in 0..MAX_RACES {
                let done = match &spec.id.name {
                    NodeName::Fixed(name) => self.write_fixed(spec, spec.id.directory.child(name).as_str()).await,
                    NodeName::Sequential { prefix, .. } => self.write_sequential(spec, prefix).await,
                };
                match done {
                    Ok(Some(outcome)) => return Ok(outcome),
                    Err(Stop::Refused(ServerError::NoNode)) => {
                        let directory = spec.id.directory.as_str();
                        self.connection.ensure_path(directory, &self.acl, &open_acl()).await??;
                    }
                    // Something changed between two requests.
                    Ok(None) | Err(Stop::Refused(ServerError::BadVersion | ServerError::NodeExists)) => {}
                    Err(stop) => return Err(stop),
                }
            }
            Ok(Outcome::Failed("the node keeps changing".into()))
        };
        outcome(written.await, &spec.id)
    }

    /// Deletes a node, if a session of this agent owns it.
    pub async fn delete(&self, id: &NodeId) -> Outcome {
        let deleted = async {
            for _ in 0..MAX_RACES {
                let Some((path, _, stat)) = self.find_own(id).await? else { return Ok(Outcome::Deleted) };
                match value(self.connection.delete(&path, stat.version).await) {
                    Ok(()) | Err(Stop::Refused(ServerError::NoNode)) => return Ok(Outcome::Deleted),
                    Err(Stop::Refused(ServerError::BadVersion)) => {}
                    Err(stop) => return Err(stop),
                }
            }
            Ok(Outcome::Failed("the node keeps changing".into()))
        };
        let deleted = outcome(deleted.await, id);
        if deleted == Outcome::Deleted {
            self.own_nodes.forget(id);
        }
        deleted
    }

    fn is_own(&self, stat: &Stat) -> bool {
        let owner = stat.ephemeral_owner;
        owner == self.connection.session().id || (owner != 0 && self.earlier.contains(&owner))
    }

    fn new_node<'a>(&'a self, spec: &'a NodeSpec, path: &'a str, mode: CreateMode) -> NewNode<'a> {
        NewNode { path, data: &spec.data, acl: &self.acl, mode }
    }

    /// One try; `None` if something changed meanwhile.
    async fn write_fixed(&self, spec: &NodeSpec, path: &str) -> Result<Option<Outcome>, Stop> {
        match value(self.connection.create(self.new_node(spec, path, CreateMode::Ephemeral)).await) {
            Ok(()) => return self.watched(&spec.id, path, Outcome::Created).await,
            Err(Stop::Refused(ServerError::NodeExists)) => {}
            Err(stop) => return Err(stop),
        }
        let Some(stat) = value(self.connection.exists(path, false).await)? else { return Ok(None) };
        if !self.is_own(&stat) {
            return self.watched(&spec.id, path, Outcome::Foreign(stat.ephemeral_owner)).await;
        }
        let (data, stat) = value(self.connection.data(path, false).await)?;
        self.renew(spec, path, &data, &stat).await
    }

    async fn write_sequential(&self, spec: &NodeSpec, prefix: &str) -> Result<Option<Outcome>, Stop> {
        if let Some((path, data, stat)) = self.find_own(&spec.id).await? {
            return self.renew(spec, &path, &data, &stat).await;
        }
        let path = spec.id.directory.child(prefix);
        value(self.connection.create(self.new_node(spec, path.as_str(), CreateMode::EphemeralSequential)).await)?;
        match self.find_own(&spec.id).await? {
            Some((path, ..)) => self.watched(&spec.id, &path, Outcome::Created).await,
            None => Ok(None),
        }
    }

    /// Makes an own node what it is to be.
    async fn renew(&self, spec: &NodeSpec, path: &str, data: &[u8], stat: &Stat) -> Result<Option<Outcome>, Stop> {
        if stat.ephemeral_owner != self.connection.session().id {
            let mode = match spec.id.name {
                NodeName::Fixed(_) => CreateMode::Ephemeral,
                NodeName::Sequential { .. } => {
                    value(self.connection.delete(path, stat.version).await)?;
                    return Ok(None);
                }
            };
            value(self.connection.replace(self.new_node(spec, path, mode), stat.version).await)?;
            return self.watched(&spec.id, path, Outcome::TakenOver(stat.ephemeral_owner)).await;
        }
        if spec.is_same(data) {
            return self.watched(&spec.id, path, Outcome::Unchanged).await;
        }
        value(self.connection.set_data(path, &spec.data, stat.version).await)?;
        self.watched(&spec.id, path, Outcome::Updated).await
    }

    /// Watches the node from now on; `None` if it is gone already.
    async fn watched(&self, id: &NodeId, path: &str, outcome: Outcome) -> Result<Option<Outcome>, Stop> {
        self.own_nodes.watch(path, id);
        Ok(value(self.connection.exists(path, true).await)?.map(|_| outcome))
    }

    /// The node of a session of this agent, if there is one.
    async fn find_own(&self, id: &NodeId) -> Result<Option<(String, Bytes, Stat)>, Stop> {
        let names = match &id.name {
            NodeName::Fixed(name) => vec![name.clone()],
            NodeName::Sequential { .. } => match value(self.connection.children(id.directory.as_str(), false).await) {
                Ok((names, _)) => names.into_iter().filter(|name| id.name.matches(name)).collect(),
                Err(Stop::Refused(ServerError::NoNode)) => return Ok(None),
                Err(stop) => return Err(stop),
            },
        };
        let paths: Vec<String> = names.iter().map(|name| id.directory.child(name).as_str().to_owned()).collect();
        let reads = join_all(paths.iter().map(|path| self.connection.data(path, false))).await;
        for (path, read) in paths.into_iter().zip(reads) {
            match value(read) {
                Ok((data, stat)) if self.is_own(&stat) && id.name.matches_data(&data) => {
                    return Ok(Some((path, data, stat)));
                }
                // A node that may not be read is another client's, or was closed by a person.
                Ok(_) | Err(Stop::Refused(ServerError::NoNode | ServerError::NoAuth)) => {}
                Err(stop) => return Err(stop),
            }
        }
        Ok(None)
    }
}

fn outcome(done: Result<Outcome, Stop>, id: &NodeId) -> Outcome {
    match done {
        Ok(outcome) => outcome,
        Err(Stop::Lost) => Outcome::Lost,
        Err(Stop::Refused(ServerError::NoAuth)) => Outcome::Failed(format!(
            "not authorized: the ACL of {} does not allow this agent's credentials to write it (set `auth` in [registry])",
            id.directory
        )),
        Err(Stop::Refused(error)) => Outcome::Failed(error.to_string()),
    }
}
