//! Reads services, in a ZooKeeper or in another registry, such as a directory tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::error::{Exit, Fatal};
use crate::jones::path::{Env, Service};
use crate::jones::tree::Tree;
use crate::model::node_path::NodePath;
use crate::watch::{Node, Registry};
use crate::zk::{Bytes, Stat};

use super::Store;
use super::history::Recorded;
use super::read::{SERVICES, missing_service, tree_of};

/// Where services are read.
pub enum Reader<'a> {
    /// In a ZooKeeper.
    Store(&'a mut Store),
    /// In another registry, within this time. It has neither versions nor a history.
    Registry(Arc<dyn Registry>, Duration),
}

impl Reader<'_> {
    /// The names of all children of `/services`, sorted. None, if there is no such node.
    ///
    /// # Errors
    /// They cannot be read, or the registry is not reached.
    pub async fn services(&mut self) -> Result<Vec<String>, Fatal> {
        match self {
            Self::Store(store) => store.services().await,
            Self::Registry(registry, limit) => {
                let path = NodePath::root().child(SERVICES.trim_start_matches('/'));
                let node = read(&**registry, *limit, path.clone(), false).await?;
                let children = node.map_or(Ok(Vec::new()), |node| node.children);
                let children = children.map_err(|why| unreadable("list", &path, &why))?;
                Ok(children.into_iter().map(|(name, _)| name).collect())
            }
        }
    }

    /// Reads a service.
    ///
    /// # Errors
    /// It does not exist, a node of it cannot be read, or the registry is not reached.
    pub async fn tree(&mut self, service: &Service) -> Result<Tree, Fatal> {
        let tree = self.any_tree(service).await?;
        if tree.envs.contains_key(&Env::ROOT) { Ok(tree) } else { Err(missing_service(service)) }
    }

    /// Reads a service, which may lack its nodes.
    ///
    /// # Errors
    /// A node of it cannot be read, or the registry is not reached.
    pub async fn any_tree(&mut self, service: &Service) -> Result<Tree, Fatal> {
        match self {
            Self::Store(store) => store.any_tree(service).await,
            Self::Registry(registry, limit) => {
                let path = service.path();
                let mut nodes = BTreeMap::new();
                if let Some(node) = read(&**registry, *limit, path.clone(), true).await? {
                    flatten(path.clone(), node, &mut nodes)?;
                }
                let is_frozen = |other: &&NodePath| {
                    let below = path.segments_below(other.as_str());
                    below.is_some_and(|names| matches!(names.first(), Some(&("pins" | "canary"))))
                };
                let frozen: BTreeSet<NodePath> = nodes.keys().filter(is_frozen).cloned().collect();
                Ok(tree_of(service, nodes, &frozen))
            }
        }
    }

    /// The entries of a service by revision.
    ///
    /// # Errors
    /// They cannot be read, the ensemble is not reached, or the registry has none.
    pub async fn history(&mut self, service: &Service) -> Result<BTreeMap<u64, Recorded>, Fatal> {
        match self {
            Self::Store(store) => store.history(service).await,
            Self::Registry(..) => Err(Fatal::new(Exit::Usage, "only services in a ZooKeeper have a history")),
        }
    }
}

async fn read(
    registry: &dyn Registry,
    limit: Duration,
    path: NodePath,
    recursive: bool,
) -> Result<Option<Node>, Fatal> {
    let Ok(read) = timeout(limit, registry.read(path.clone(), recursive)).await else {
        let waited = humantime::format_duration(limit);
        return Err(Fatal::new(Exit::Unreached, format!("{path}: the registry did not answer within {waited}")));
    };
    read.map_err(|setback| Fatal::new(Exit::Unreached, setback.to_string()))
}

fn unreadable(tried: &str, path: &NodePath, why: &str) -> Fatal {
    Fatal::new(Exit::Failed, format!("cannot {tried} {path}: {why}"))
}

fn flatten(path: NodePath, node: Node, nodes: &mut BTreeMap<NodePath, (Bytes, Stat)>) -> Result<(), Fatal> {
    let content = node.reading.map_err(|why| unreadable("read", &path, &why))?;
    let children = node.children.map_err(|why| unreadable("list", &path, &why))?;
    for (name, child) in children {
        flatten(path.child(&name), child, nodes)?;
    }
    nodes.insert(path, (content.data, Stat::default()));
    Ok(())
}
