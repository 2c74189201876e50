//! The services that a person took out, kept in the state directory across restarts.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::state::append_log::durable::{Durability, replace};

/// The file's name in the state directory.
const NAME: &str = "drains.json";

/// A service that was taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// When it comes back, in seconds since 1970; `None` if it stays out until a person brings it back.
    pub until: Option<u64>,
    /// The reason that was given.
    pub reason: Option<String>,
    /// The user who asked for it.
    pub uid: u32,
}

impl Drain {
    /// A drain from now on.
    pub fn new(now: SystemTime, length: Option<Duration>, reason: Option<String>, uid: u32) -> Self {
        let end = |length| now.checked_add(length)?.duration_since(SystemTime::UNIX_EPOCH).ok();
        // Rounded up, so that it never ends earlier.
        let until = length.and_then(end).map(|end| end.as_secs() + 1);
        Self { until, reason, uid }
    }

    /// The remaining time; `None` without an end.
    pub fn left(&self, now: SystemTime) -> Option<Duration> {
        let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.until?))?;
        Some(end.duration_since(now).unwrap_or_default())
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.left(now).is_some_and(|left| left.is_zero())
    }
}

/// The file in a state directory.
pub fn file(state_dir: &Path) -> PathBuf {
    state_dir.join(NAME)
}

/// Loads the drains of the last run, by service.
///
/// # Errors
/// The file cannot be read: why.
pub fn load(state_dir: &Path) -> Result<BTreeMap<String, Drain>, String> {
    match std::fs::read(file(state_dir)) {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(why) => Err(why.to_string()),
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|why| why.to_string()),
    }
}

/// Saves the drains durably.
///
/// # Errors
/// The system call that failed.
pub fn save(state_dir: &Path, drains: &BTreeMap<String, Drain>) -> io::Result<()> {
    replace(&file(state_dir), &serde_json::to_vec(drains)?, Durability::Content)
}
