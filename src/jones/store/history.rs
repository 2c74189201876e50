//! Reads the history of a service.

use std::collections::BTreeMap;

use crate::error::Fatal;
use crate::jones::entry::Entry;
use crate::jones::path::Service;
use crate::jones::records;
use crate::model::node_path::NodePath;
use crate::zk::{Connection, Stat};

use super::read::read_nodes;
use super::{Stop, Store, found};

/// An entry as it is stored.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its content, or why its data is no entry.
    pub entry: Result<Entry, String>,
    /// The metadata of its node. `czxid` is the transaction that wrote it.
    pub stat: Stat,
    /// Its length in bytes.
    pub bytes: usize,
}

/// Those that can be read.
pub fn entries(history: &BTreeMap<u64, Recorded>) -> BTreeMap<u64, &Entry> {
    history.iter().filter_map(|(number, it)| Some((*number, it.entry.as_ref().ok()?))).collect()
}

impl Store {
    /// The entries of a service by revision.
    ///
    /// # Errors
    /// They cannot be read, or the ensemble is not reached.
    pub async fn history(&mut self, service: &Service) -> Result<BTreeMap<u64, Recorded>, Fatal> {
        self.call(async |connection| read(connection, service).await).await
    }
}

/// The revisions of a service.
pub async fn revisions(connection: &Connection, service: &Service) -> Result<Vec<u64>, Stop> {
    let directory = records::history(service);
    let children = found(connection.children(directory.as_str(), false).await, "list", &directory)?;
    let mut revisions: Vec<u64> = children
        .map(|(names, _)| names)
        .unwrap_or_default()
        .iter()
        .filter_map(|name| records::revision(name))
        .collect();
    revisions.sort_unstable();
    Ok(revisions)
}

/// All entries.
pub async fn read(connection: &Connection, service: &Service) -> Result<BTreeMap<u64, Recorded>, Stop> {
    let paths: BTreeMap<NodePath, u64> = revisions(connection, service)
        .await?
        .into_iter()
        .map(|revision| (records::entry(service, revision), revision))
        .collect();
    let nodes = read_nodes(connection, &paths.keys().collect::<Vec<_>>()).await?;
    let recorded = |(path, (data, stat)): (NodePath, (crate::zk::Bytes, Stat))| {
        let revision = paths.get(&path)?;
        Some((*revision, Recorded { entry: Entry::parse(&data), stat, bytes: data.len() }))
    };
    Ok(nodes.into_iter().filter_map(recorded).collect())
}
