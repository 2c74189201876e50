//! The pins of files that a person rolled back, with their contents, kept in the state directory across restarts.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::state::append_log::durable::{Durability, replace};

#[cfg(test)]
mod tests;

/// The file's name in the state directory.
const NAME: &str = "pins.json";

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;

/// A pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedPin {
    /// The generation in the history.
    pub generation: u64,
    /// Its content. It is kept here too, because the history keeps only the last ones, and is not synced.
    pub content: Vec<u8>,
    /// Since when the file is pinned.
    pub since: SystemTime,
    /// The user who asked for it.
    pub uid: u32,
    /// The reason that was given.
    pub reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    pins: BTreeMap<String, Line>,
}

/// A pin in the file.
#[derive(Serialize, Deserialize)]
struct Line {
    generation: u64,
    /// In seconds since 1970.
    since: u64,
    uid: u32,
    reason: Option<String>,
    /// In base64.
    content: String,
}

/// The file in a state directory.
pub fn file(state_dir: &Path) -> PathBuf {
    state_dir.join(NAME)
}

/// Loads the pins of the last run, by template.
///
/// # Errors
/// The file cannot be read: why.
pub fn load(state_dir: &Path) -> Result<BTreeMap<String, SavedPin>, String> {
    let bytes = match std::fs::read(file(state_dir)) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        read => read.map_err(|why| why.to_string())?,
    };
    let File { version, pins } = serde_json::from_slice(&bytes).map_err(|why| why.to_string())?;
    if version != VERSION {
        return Err(format!("it has version {version}; this rosterd reads version {VERSION}"));
    }
    let pin = |(template, Line { generation, since, uid, reason, content }): (String, Line)| {
        let content = BASE64_STANDARD.decode(content).map_err(|why| format!("the content of {template}: {why}"))?;
        let since = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since)).ok_or("a time is out of range")?;
        Ok((template, SavedPin { generation, content, since, uid, reason }))
    };
    pins.into_iter().map(pin).collect()
}

/// Saves the pins durably.
///
/// # Errors
/// The system call that failed; the file is as before.
pub fn save(state_dir: &Path, pins: BTreeMap<String, SavedPin>) -> io::Result<()> {
    let line = |(template, SavedPin { generation, content, since, uid, reason })| {
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        (template, Line { generation, since, uid, reason, content: BASE64_STANDARD.encode(content) })
    };
    let saved = File { version: VERSION, pins: pins.into_iter().map(line).collect() };
    replace(&file(state_dir), &serde_json::to_vec(&saved)?, Durability::Content)
}
