//! The servers that were learnt, kept on disk: after the next start an ensemble is found though all of the configured
//! servers are gone.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Name, is_host};
use crate::decide::Event;
use crate::log::emit;
use crate::watch::StateAccess;

/// The directory's name in the state directory.
const FOLDER: &str = "servers";

/// The format that this version writes, and the only one that it reads.
const VERSION: u32 = 1;

/// A file's content.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u32,
    /// The registry's url: for another one the list says nothing.
    url: String,
    servers: Vec<Name>,
}

/// The list of one registry.
#[derive(Debug)]
pub struct SavedServers {
    /// The file; `None` where nothing is written.
    file: Option<PathBuf>,
    url: String,
    servers: Vec<Name>,
}

impl SavedServers {
    /// What an earlier run kept of this registry. A file that cannot be used is said, and counts as none.
    pub fn of(keep: &StateAccess, registry: &str, url: &str) -> Self {
        let (StateAccess::ReadOnly(state) | StateAccess::ReadWrite(state)) = keep else {
            return Self { file: None, url: url.to_owned(), servers: Vec::new() };
        };
        // A registry's name need not be a file's.
        let named: String = registry.bytes().map(plain).collect();
        let file = state.join(FOLDER).join(format!("{named}.json"));
        let servers = read(&file, url).unwrap_or_else(|why| {
            let (file, effect) = (Some(file.clone()), "servers learnt in an earlier run are not known");
            emit(Event::StateReadFailed { file, reason: why, effect });
            Vec::new()
        });
        let file = matches!(keep, StateAccess::ReadWrite(_)).then_some(file);
        Self { file, url: url.to_owned(), servers }
    }

    /// What is kept.
    pub fn servers(&self) -> &[Name] {
        &self.servers
    }

    /// Keeps these from now on, unless there are none. A failure is said and does no more harm than that.
    pub fn write(&mut self, servers: Vec<Name>) {
        if servers.is_empty() || servers == self.servers {
            return;
        }
        self.servers = servers;
        let Some(file) = &self.file else {
            return;
        };
        let content = File { version: VERSION, url: self.url.clone(), servers: self.servers.clone() };
        if let Err(why) = write(file, &content) {
            let (file, effect) = (Some(file.clone()), "learnt servers are not known after a restart");
            emit(Event::StateWriteFailed { file, reason: why.to_string(), effect });
        }
    }
}

/// A byte of a name as a file name may have it: itself, or its number.
fn plain(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
        return char::from(byte).to_string();
    }
    format!("%{byte:02x}")
}

fn read(file: &Path, url: &str) -> Result<Vec<Name>, String> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        // The state directory is closed to people who only look.
        Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => return Ok(Vec::new()),
        Err(why) => return Err(why.to_string()),
    };
    let known: File = serde_json::from_slice(&text).map_err(|why| why.to_string())?;
    if known.version != VERSION {
        return Err(format!("it is of version {}, and this is {VERSION}", known.version));
    }
    if known.url != url {
        return Ok(Vec::new());
    }
    if !known.servers.iter().all(|name| is_host(&name.host) && name.port != 0) {
        return Err("it names what is no server".into());
    }
    Ok(known.servers)
}

fn write(file: &Path, content: &File) -> std::io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(directory)?;
    let mut fresh = tempfile::Builder::new().prefix(".rosterd-").suffix(".tmp").tempfile_in(directory)?;
    fresh.write_all(&serde_json::to_vec(content)?)?;
    // It is rarely written, and worth the most after a power cut that took the servers along.
    fresh.as_file().sync_all()?;
    fresh.persist(file)?;
    Ok(())
}
