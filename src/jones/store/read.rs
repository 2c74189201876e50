//! Reads a service at one moment.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use crate::error::{Cause, Exit, Fatal};
use crate::jones::nodemaps::NodeMaps;
use crate::jones::path::{Env, Service};
use crate::jones::records;
use crate::jones::tree::{EnvNodes, MapsNode, Node, Tree};
use crate::model::node_path::NodePath;
use crate::text::command::rosterd;
use crate::zk::{Bytes, Connection, ServerError, Stat};

use super::{Stop, Store, failed, found};

/// The most nodes that are read in one request, which bounds its length.
const CHUNK: usize = 4000;

/// The node above all services.
pub const SERVICES: &str = "/services";

impl Store {
    /// Reads a service.
    ///
    /// # Errors
    /// It does not exist, a node of it cannot be read, or the ensemble is not reached.
    pub async fn tree(&mut self, service: &Service) -> Result<Tree, Fatal> {
        let tree = self.any_tree(service).await?;
        if tree.envs.contains_key(&Env::ROOT) { Ok(tree) } else { Err(missing_service(service)) }
    }

    /// Reads a service, which may lack its nodes.
    ///
    /// # Errors
    /// A node of it cannot be read, or the ensemble is not reached.
    pub async fn any_tree(&mut self, service: &Service) -> Result<Tree, Fatal> {
        self.call(async |connection| read(connection, service).await).await
    }

    /// The names of all children of `/services`, sorted. None, if there is no such node.
    ///
    /// # Errors
    /// They cannot be read, or the ensemble is not reached.
    pub async fn services(&mut self) -> Result<Vec<String>, Fatal> {
        let path = NodePath::root().child(SERVICES.trim_start_matches('/'));
        self.call(async |connection| {
            sync(connection).await?;
            let children = found(connection.children(path.as_str(), false).await, "list", &path)?;
            let mut names = children.map(|(names, _)| names).unwrap_or_default();
            names.sort();
            Ok(names)
        })
        .await
    }

    /// The names of the children of a node, sorted.
    ///
    /// # Errors
    /// They cannot be read, or the ensemble is not reached.
    pub async fn children(&mut self, path: &NodePath) -> Result<Vec<String>, Fatal> {
        self.call(async |connection| {
            let children = found(connection.children(path.as_str(), false).await, "list", path)?;
            let mut names = children.map(|(names, _)| names).unwrap_or_default();
            names.sort();
            Ok(names)
        })
        .await
    }
}

/// The error for a service without its root environment.
pub fn missing_service(service: &Service) -> Fatal {
    let message =
        format!("there is no service {service}; create it with `{}`", rosterd(&["jones", "init", service.as_str()]));
    Fatal::new(Exit::Failed, message).of(Cause::Missing)
}

/// Waits until the server has all that was committed before.
pub async fn sync(connection: &Connection) -> Result<(), Stop> {
    match connection.sync("/").await?.value {
        Ok(()) => Ok(()),
        Err(error) => Err(failed("sync", "/", error).into()),
    }
}

async fn read(connection: &Connection, service: &Service) -> Result<Tree, Stop> {
    sync(connection).await?;
    loop {
        let (conf, views) = (service.conf(&Env::ROOT), service.view(&Env::ROOT));
        let frozen = [service.path().child("pins"), service.path().child("canary"), service.records()];
        // The history is read by itself, when it is needed.
        let history = records::history(service);
        let (confs, views) = (walk(connection, conf, &history).await?, walk(connection, views, &history).await?);
        let mut others = BTreeMap::new();
        for path in frozen {
            others.extend(walk(connection, path, &history).await?);
        }
        let nodemaps = service.nodemaps();
        let paths: Vec<&NodePath> = confs.keys().chain(views.keys()).chain(others.keys()).chain([&nodemaps]).collect();
        let nodes = read_nodes(connection, &paths).await?;
        // An environment that came or went between the two requests would be missed.
        let is_same =
            |(path, cversion): (&NodePath, &i32)| nodes.get(path).is_some_and(|(_, stat)| stat.cversion == *cversion);
        if confs.iter().all(is_same) {
            return Ok(tree_of(service, nodes, &others.into_keys().collect()));
        }
    }
}

/// A node and all below it but `skipped`, each with the version of its list of children. Empty, if there is no such node.
async fn walk(connection: &Connection, root: NodePath, skipped: &NodePath) -> Result<BTreeMap<NodePath, i32>, Stop> {
    let (mut all, mut level) = (BTreeMap::new(), vec![root]);
    while !level.is_empty() {
        let lists = level.iter().map(async |path| {
            let list = found(connection.children(path.as_str(), false).await, "list", path)?;
            Ok::<_, Stop>(list.map(|(names, stat)| (path.clone(), names, stat)))
        });
        let lists = try_join_all(lists).await?;
        level = Vec::new();
        for (path, names, stat) in lists.into_iter().flatten() {
            level.extend(names.iter().map(|name| path.child(name)).filter(|path| path != skipped));
            all.insert(path, stat.cversion);
        }
    }
    Ok(all)
}

/// Reads nodes, all at one moment if the server can do that and they fit in one reply. Nodes that do not exist are left
/// out.
pub async fn read_nodes(
    connection: &Connection,
    paths: &[&NodePath],
) -> Result<BTreeMap<NodePath, (Bytes, Stat)>, Stop> {
    let mut nodes = BTreeMap::new();
    let mut chunks: Vec<&[&NodePath]> = paths.chunks(CHUNK).rev().collect();
    while let Some(chunk) = chunks.pop() {
        match connection.multi_read(chunk).await?.value {
            Ok(results) => {
                for (path, result) in chunk.iter().zip(results) {
                    match result {
                        Ok(node) => _ = nodes.insert((*path).clone(), node),
                        Err(ServerError::NoNode) => {}
                        Err(error) => return Err(failed("read", path.as_str(), error).into()),
                    }
                }
            }
            Err(ServerError::TooLarge { .. }) if chunk.len() > 1 => {
                let (first, last) = chunk.split_at(chunk.len() / 2);
                chunks.extend([last, first]);
            }
            // The server is older than 3.6.
            Err(ServerError::Unimplemented) => {
                let read = chunk.iter().map(async |path| {
                    let node = found(connection.data(path.as_str(), false).await, "read", path)?;
                    Ok::<_, Stop>(node.map(|node| ((*path).clone(), node)))
                });
                nodes.extend(try_join_all(read).await?.into_iter().flatten());
            }
            Err(error) => return Err(failed("read", chunk[0].as_str(), error).into()),
        }
    }
    Ok(nodes)
}

/// The service whose nodes these are. Those of `frozen` are its pins, canaries and records.
pub fn tree_of(service: &Service, mut nodes: BTreeMap<NodePath, (Bytes, Stat)>, frozen: &BTreeSet<NodePath>) -> Tree {
    let nodemaps = match nodes.remove(&service.nodemaps()) {
        Some((data, stat)) => NodeMaps::parse(&data).map(|maps| MapsNode { stat: Some(stat), maps }),
        None => Ok(MapsNode::default()),
    };
    let mut tree = Tree {
        service: service.clone(),
        envs: BTreeMap::new(),
        nodemaps,
        frozen: BTreeMap::new(),
        orphans: BTreeSet::new(),
    };
    let env = |root: &NodePath, path: &NodePath| {
        let names = root.segments_below(path.as_str())?;
        Some(names.into_iter().fold(Env::ROOT, |env, name| env.child(name)))
    };
    let (conf, view) = (service.conf(&Env::ROOT), service.view(&Env::ROOT));
    let mut views = BTreeMap::new();
    for (path, (data, stat)) in nodes {
        if frozen.contains(&path) {
            tree.frozen.insert(path, Node::new(data, stat));
        } else if let Some(env) = env(&conf, &path) {
            tree.envs.insert(env, EnvNodes { conf: Node::new(data, stat), view: None });
        } else if let Some(env) = env(&view, &path) {
            views.insert(env, Node::new(data, stat));
        }
    }
    for (env, node) in views {
        match tree.envs.get_mut(&env) {
            Some(nodes) => nodes.view = Some(node),
            None => _ = tree.orphans.insert(env),
        }
    }
    tree
}
