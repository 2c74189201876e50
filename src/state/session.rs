//! The session of a registry and the nodes that it holds, saved so that the next process continues it: then no reader
//! of the registry notices a restart.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::node_path::NodePath;
use crate::model::registration::{NodeId, NodeName};
use crate::state::append_log::durable::{Durability, replace};
use crate::text::file_name::escaped;

#[cfg(test)]
mod tests;

/// The directory within the state directory. The sessions in it can be taken over with their passwords.
const DIRECTORY: &str = "sessions";

/// The version of the format.
const VERSION: u32 = 1;

/// How many earlier sessions are remembered. A node of such a session is this agent's.
const MAX_EARLIER: usize = 8;

/// The content of a file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSession {
    version: u32,
    /// The URL of the registry. The session is not used for another one.
    url: String,
    /// The session; `None` if it was closed.
    pub id: Option<i64>,
    password: Vec<u8>,
    timeout_ms: u64,
    /// Earlier sessions, which may not have ended yet.
    pub earlier: Vec<i64>,
    /// The nodes that the session may hold.
    nodes: Vec<SavedNode>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavedNode {
    service: String,
    directory: String,
    name: NodeName,
}

impl fmt::Debug for SavedSession {
    /// Leaves out the password: it suffices to take over the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedSession").field("id", &self.id).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

impl SavedSession {
    /// No session of the registry at `url` yet.
    pub fn none(url: &str) -> Self {
        let (password, earlier, nodes) = (Vec::new(), Vec::new(), Vec::new());
        Self { version: VERSION, url: url.to_owned(), id: None, password, timeout_ms: 0, earlier, nodes }
    }

    /// The file of a registry.
    pub fn file(state_dir: &Path, registry: &str) -> PathBuf {
        state_dir.join(DIRECTORY).join(format!("{}.json", escaped(registry)))
    }

    /// Loads a file. One of another registry counts as none.
    ///
    /// # Errors
    /// The file cannot be read: why. It counts as none, too.
    pub fn load(file: &Path, url: &str) -> Result<Self, String> {
        let bytes = match std::fs::read(file) {
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Self::none(url)),
            read => read.map_err(|why| why.to_string())?,
        };
        let saved: Self = serde_json::from_slice(&bytes).map_err(|why| why.to_string())?;
        if saved.version != VERSION {
            return Err(format!("its format version is {}, not {VERSION}", saved.version));
        }
        Ok(if saved.url == url { saved } else { Self::none(url) })
    }

    /// The session, its password and its timeout; `None` if there is none.
    pub fn session(&self) -> Option<(i64, Vec<u8>, Duration)> {
        Some((self.id?, self.password.clone(), Duration::from_millis(self.timeout_ms)))
    }

    /// Changes the session. The one before becomes an earlier one.
    pub fn set_session(&mut self, id: i64, password: &[u8], timeout: Duration) {
        if self.id != Some(id) {
            self.earlier.extend(self.id.take());
            let excess = self.earlier.len().saturating_sub(MAX_EARLIER);
            self.earlier.drain(..excess);
        }
        self.id = Some(id);
        self.password = password.to_vec();
        self.timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    }

    /// The nodes, each with its service.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &str)> {
        self.nodes.iter().filter_map(|node| {
            let directory = NodePath::parse(&node.directory).ok()?;
            Some((NodeId { directory, name: node.name.clone() }, &*node.service))
        })
    }

    /// Changes the nodes.
    pub fn set_nodes<'a>(&mut self, nodes: impl Iterator<Item = (&'a NodeId, &'a str)>) {
        let saved = |(id, service): (&NodeId, &str)| SavedNode {
            service: service.to_owned(),
            directory: id.directory.as_str().to_owned(),
            name: id.name.clone(),
        };
        self.nodes = nodes.map(saved).collect();
    }

    /// Saves it durably, readable only by this user.
    ///
    /// # Errors
    /// The system call that failed.
    pub fn save(&self, file: &Path) -> std::io::Result<()> {
        replace(file, &serde_json::to_vec(self)?, Durability::Content)
    }
}
