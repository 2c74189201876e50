//! The pause that a person asked for, kept in the state directory across restarts.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::decide::Event;
use crate::log::emit;

#[cfg(test)]
mod tests;

/// The file's name in the state directory.
const NAME: &str = "pause.json";

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;

/// The length of a pause if none is given, or it cannot be read.
pub const DEFAULT_DURATION: Duration = Duration::from_hours(1);

/// The longest pause. For a longer one, stop the agent.
pub const MAX_DURATION: Duration = Duration::from_hours(366 * 24);

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// When it began.
    pub since: SystemTime,
    /// When it ends.
    pub until: SystemTime,
    /// The reason that was given.
    pub reason: Option<String>,
    /// The user who asked for it.
    pub uid: u32,
}

/// The content of the file; times are seconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
struct SavedPause {
    version: u32,
    since: u64,
    until: u64,
    reason: Option<String>,
    uid: u32,
}

impl Pause {
    /// A pause from now on, limited to [`MAX_DURATION`].
    pub fn new(now: SystemTime, length: Duration, reason: Option<String>, uid: u32) -> Self {
        let until = now.checked_add(length.min(MAX_DURATION)).unwrap_or(now);
        Self { since: now, until, reason, uid }
    }

    /// The remaining time; `None` once it is over. A wall clock that was set back does not extend it.
    pub fn remaining(&self, now: SystemTime) -> Option<Duration> {
        let whole = self.until.duration_since(self.since).unwrap_or_default();
        let left = self.until.duration_since(now).ok()?.min(whole);
        (!left.is_zero()).then_some(left)
    }

    /// The file in a state directory.
    pub fn file(state_dir: &Path) -> PathBuf {
        state_dir.join(NAME)
    }

    /// The pause in force at the start. A file that cannot be read shows that a pause was requested: it counts as a
    /// pause of [`DEFAULT_DURATION`] from now on, with the error as its reason.
    pub fn load(state_dir: &Path, now: SystemTime) -> Option<Self> {
        let file = Self::file(state_dir);
        let pause = match std::fs::read(&file) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return None,
            read => read.map_err(|why| why.to_string()).and_then(|bytes| parse(&bytes)),
        };
        let pause = pause.unwrap_or_else(|why| {
            let (file, effect) = (Some(file.clone()), "paused for one hour from now");
            emit(Event::StateReadFailed { file, reason: why.clone(), effect });
            let why = format!("{}: {why}", Self::file(state_dir).display());
            Self::new(now, DEFAULT_DURATION, Some(why), 0)
        });
        pause.remaining(now).is_some().then_some(pause)
    }

    /// Saves it durably for the next start.
    ///
    /// # Errors
    /// The system call that failed.
    pub fn save(&self, state_dir: &Path) -> io::Result<()> {
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        // Rounded up, so that the saved pause never ends earlier.
        let until = seconds(self.until) + 1;
        let (since, reason) = (seconds(self.since), self.reason.clone());
        let saved = SavedPause { version: VERSION, since, until, reason, uid: self.uid };
        let mut fresh = tempfile::Builder::new().prefix(".rosterd-").suffix(".tmp").tempfile_in(state_dir)?;
        fresh.write_all(&serde_json::to_vec(&saved)?)?;
        fresh.as_file().sync_all()?;
        fresh.persist(Self::file(state_dir))?;
        sync(state_dir)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// The system call that failed.
    pub fn delete(state_dir: &Path) -> io::Result<()> {
        match std::fs::remove_file(Self::file(state_dir)) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(why) => Err(why),
            Ok(()) => sync(state_dir),
        }
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

fn parse(bytes: &[u8]) -> Result<Pause, String> {
    let saved: SavedPause = serde_json::from_slice(bytes).map_err(|why| why.to_string())?;
    if saved.version != VERSION {
        return Err(format!("it has version {}; this rosterd reads version {VERSION}", saved.version));
    }
    let time = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let (since, until) = time(saved.since).zip(time(saved.until)).ok_or("its times are out of range")?;
    Ok(Pause { since, until, reason: saved.reason, uid: saved.uid })
}
