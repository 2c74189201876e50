//! Which revision wrote what a host reads.

use crate::error::Fatal;
use crate::jones::entry::Entry;
use crate::jones::path::{Destination, Kind, Service};
use crate::jones::records;
use crate::model::node_path::NodePath;
use crate::zk::{Connection, Stat};

use super::{Stop, Store, found, history};

/// The last change of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The revision, and its author as that one claims; `None` if no entry of the history has it.
    pub revision: Option<(u64, String)>,
    /// When, in milliseconds since 1970, by the clock of the servers.
    pub mtime_ms: i64,
}

impl Store {
    /// The last change of a node that hosts read: for a pin, of the view that it holds. `None`, if there is no such node, or
    /// no history yet.
    ///
    /// # Errors
    /// A node cannot be read, or the ensemble is not reached.
    pub async fn origin(&mut self, service: &Service, read: &Destination) -> Result<Option<Origin>, Fatal> {
        self.call(async |connection| {
            let revisions = history::revisions(connection, service).await?;
            let Some(stat) = stat(connection, &read.path).await?.filter(|_| !revisions.is_empty()) else {
                return Ok(None);
            };
            let revision = match read.kind {
                Kind::Pin(revision, _) => Some(revision),
                _ => written_in(connection, service, &revisions, &stat).await?,
            };
            let unknown = Origin { revision: None, mtime_ms: stat.mtime_ms };
            let Some(revision) = revision else { return Ok(Some(unknown)) };
            let path = records::entry(service, revision);
            let node = found(connection.data(path.as_str(), false).await, "read", &path)?;
            let origin = node.and_then(|(data, stat)| {
                let author = Entry::parse(&data).ok()?.author;
                Some(Origin { revision: Some((revision, author)), mtime_ms: stat.mtime_ms })
            });
            Ok(Some(origin.unwrap_or(unknown)))
        })
        .await
    }
}

async fn stat(connection: &Connection, path: &NodePath) -> Result<Option<Stat>, Stop> {
    Ok(found(connection.exists(path.as_str(), false).await, "read", path)?.flatten())
}

/// The revision of the transaction that wrote a node. Revisions are in the order of their transactions, so a few of them
/// have to be read.
async fn written_in(
    connection: &Connection,
    service: &Service,
    revisions: &[u64],
    node: &Stat,
) -> Result<Option<u64>, Stop> {
    let (mut low, mut high) = (0, revisions.len());
    while low < high {
        let middle = low + (high - low) / 2;
        // The oldest ones may be deleted meanwhile.
        match stat(connection, &records::entry(service, revisions[middle])).await? {
            Some(entry) if entry.czxid == node.mzxid => return Ok(Some(revisions[middle])),
            Some(entry) if entry.czxid > node.mzxid => high = middle,
            _ => low = middle + 1,
        }
    }
    Ok(None)
}
