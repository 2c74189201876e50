//! Saves learned servers in the state directory. After a restart an ensemble is found even if all configured servers
//! are gone.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::name::{ServerName, is_host};
use crate::decide::Event;
use crate::log::emit;
use crate::text::file_name::escaped;
use crate::watch::StateAccess;

/// The directory within the state directory.
const DIRECTORY: &str = "servers";

/// The version of the format.
const VERSION: u32 = 1;

/// The content of a file.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u32,
    /// The URL of the registry. The list is not used for another URL.
    url: String,
    servers: Vec<ServerName>,
}

/// The saved servers of one registry.
#[derive(Debug)]
pub struct SavedServers {
    /// The file; `None` if nothing is to be written.
    file: Option<PathBuf>,
    url: String,
    servers: Vec<ServerName>,
}

impl SavedServers {
    /// Loads the servers that an earlier run saved. A file that cannot be used is logged, and counts as none.
    pub fn load(state: &StateAccess, registry: &str, url: &str) -> Self {
        let (StateAccess::ReadOnly(directory) | StateAccess::ReadWrite(directory)) = state else {
            return Self { file: None, url: url.to_owned(), servers: Vec::new() };
        };
        let file = directory.join(DIRECTORY).join(format!("{}.json", escaped(registry)));
        let servers = read(&file, url).unwrap_or_else(|reason| {
            let (file, effect) = (Some(file.clone()), "servers learned in an earlier run are not used");
            emit(Event::StateReadFailed { file, reason, effect });
            Vec::new()
        });
        let file = matches!(state, StateAccess::ReadWrite(_)).then_some(file);
        Self { file, url: url.to_owned(), servers }
    }

    /// The servers.
    pub fn servers(&self) -> &[ServerName] {
        &self.servers
    }

    /// Saves these servers, unless there are none. A failure is logged.
    pub fn save(&mut self, servers: Vec<ServerName>) {
        if servers.is_empty() || servers == self.servers {
            return;
        }
        self.servers = servers;
        let Some(file) = &self.file else {
            return;
        };
        let content = File { version: VERSION, url: self.url.clone(), servers: self.servers.clone() };
        if let Err(reason) = write(file, &content) {
            let (file, effect) = (Some(file.clone()), "learned servers are lost on a restart");
            emit(Event::StateWriteFailed { file, reason: reason.to_string(), effect });
        }
    }
}

fn read(file: &Path, url: &str) -> Result<Vec<ServerName>, String> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        // Other users may not read the state directory.
        Err(reason) if matches!(reason.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            return Ok(Vec::new());
        }
        Err(reason) => return Err(reason.to_string()),
    };
    let known: File = serde_json::from_slice(&text).map_err(|reason| reason.to_string())?;
    if known.version != VERSION {
        return Err(format!("its format version is {}, not {VERSION}", known.version));
    }
    if known.url != url {
        return Ok(Vec::new());
    }
    if !known.servers.iter().all(|name| is_host(&name.host) && name.port != 0) {
        return Err("it has invalid servers".into());
    }
    Ok(known.servers)
}

fn write(file: &Path, content: &File) -> std::io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(directory)?;
    let mut fresh = tempfile::Builder::new().prefix(".rosterd-").suffix(".tmp").tempfile_in(directory)?;
    fresh.write_all(&serde_json::to_vec(content)?)?;
    // Synced, because it is rarely written and most useful after a power cut.
    fresh.as_file().sync_all()?;
    fresh.persist(file)?;
    Ok(())
}
