//! The lock that lets one agent use a state directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::Uid;
use tokio::time::{Instant, sleep};

use crate::config::Trust;
use crate::decide::Event;
use crate::error::{Exit, Fatal};
use crate::log::emit;
use crate::state::append_log::durable::{create_directory, sync_ancestors};

use crate::error::os::{os_error, unwritable};

/// The lock's name in the state directory.
const NAME: &str = "lock";
/// How often a held lock is retried.
const POLL: Duration = Duration::from_millis(50);

/// The lock on a state directory, held until this is dropped or the process ends. The file stays: if it were removed, a
/// third agent could lock a new one while a second waits for the old.
#[derive(Debug)]
pub struct StateLock {
    file: Flock<File>,
    path: PathBuf,
    trust: Trust,
}

impl StateLock {
    /// Locks a state directory, which is created (0700) if it is missing. Waits up to `wait` for another agent to
    /// release it. Dropping the future stops waiting. A directory in `trust` may be world-writable.
    ///
    /// # Errors
    /// [`Exit::Locked`] if another agent still holds it, with its pid; [`Exit::Failed`] if the directory
    /// cannot be used.
    pub async fn acquire(state_dir: &Path, wait: Duration, trust: &Trust) -> Result<Self, Fatal> {
        prepare(state_dir, trust)?;
        let path = state_dir.join(NAME);
        let end = Instant::now() + wait;
        loop {
            let holder = match attempt(&path, trust)? {
                Attempt::Locked(lock) => return Ok(lock),
                Attempt::Gone => continue,
                Attempt::Held(holder) => holder,
            };
            if Instant::now() >= end {
                return Err(held(state_dir, &path, &holder, wait));
            }
            sleep(POLL.min(end - Instant::now())).await;
        }
    }

    /// Checks that the state directory is still the one that was locked, and locks the one that replaced it.
    pub fn renew(&mut self) {
        if is_named(&self.file, &self.path).unwrap_or(true) {
            return;
        }
        let state_dir = self.path.parent().unwrap_or(&self.path).to_owned();
        match prepare(&state_dir, &self.trust).and_then(|()| attempt(&self.path, &self.trust)) {
            Ok(Attempt::Locked(lock)) => {
                *self = lock;
                emit(Event::StateDirReplaced { dir: state_dir });
            }
            Ok(Attempt::Gone) => {}
            Ok(Attempt::Held(pid)) => emit(Event::StateDirTaken { dir: state_dir, pid: pid.parse().ok() }),
            Err(why) => emit(Event::StateDirLost { dir: state_dir, reason: why.to_string() }),
        }
    }
}

/// Whether an open file still has this path.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let mine = file.metadata()?;
    Ok(std::fs::metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (mine.dev(), mine.ino())))
}

/// The pid of the agent that holds a state directory, empty if unknown; `None` if no agent holds it or it cannot be
/// examined. An agent that starts at this instant may find the lock held, and retries.
pub fn holder(state_dir: &Path) -> Option<String> {
    let path = state_dir.join(NAME);
    // The path may be anything, and opening some files has side effects.
    std::fs::symlink_metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).ok()?;
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Err((file, Errno::EWOULDBLOCK)) => Some(pid(file)),
        _ => None,
    }
}

/// The pid that the holder wrote into its lock; empty if it cannot be read or is not written yet.
fn pid(file: File) -> String {
    let mut pid = String::new();
    let _ = file.take(32).read_to_string(&mut pid);
    pid.trim().to_owned()
}

enum Attempt {
    Locked(StateLock),
    /// The locked file no longer has this path.
    Gone,
    /// The pid of the holder.
    Held(String),
}

fn attempt(path: &Path, trust: &Trust) -> Result<Attempt, Fatal> {
    let state_dir = path.parent().unwrap_or(path);
    let failed = |error: io::Error| unusable(format!("lock {}", path.display()), state_dir, error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(failed)?;
    let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(locked) => locked,
        Err((file, Errno::EWOULDBLOCK)) => return Ok(Attempt::Held(pid(file))),
        Err((_, errno)) => return Err(failed(errno.into())),
    };
    if !is_named(&file, path).map_err(failed)? {
        return Ok(Attempt::Gone);
    }
    if let Some((file, reason)) = not_owned(state_dir) {
        emit(Event::StateNotOwned { file, reason });
    }
    // A full disk may have no space for the pid, which only informs others.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(Attempt::Locked(StateLock { file, path: path.to_owned(), trust: trust.clone() }))
}

fn prepare(state_dir: &Path, trust: &Trust) -> Result<(), Fatal> {
    let tried = || format!("use the state directory {}", state_dir.display());
    create_directory(state_dir).map_err(|error| unusable(tried(), state_dir, error))?;
    if !state_dir.join(NAME).exists() {
        // No agent has locked the directory yet, so its name may not be durable.
        sync_ancestors(state_dir).map_err(|error| unusable(tried(), state_dir, error))?;
    }
    let now = std::fs::metadata(state_dir).map_err(|error| unusable(tried(), state_dir, error))?;
    if now.mode() & 0o002 != 0 && !trust.excuses(state_dir) {
        let message = format!(
            "cannot {0}: it is world-writable, so any user could change the agent's state (chmod 0700 {1}, set state_dir \
             in [agent] to a new directory in it, or add it to `trust`)",
            tried(),
            state_dir.display()
        );
        return Err(Fatal::new(Exit::Failed, message));
    }
    Ok(())
}

fn unusable(tried: String, state_dir: &Path, error: io::Error) -> Fatal {
    let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
    let denied = unwritable(
        &error,
        "set state_dir in [agent], --state-dir or $ROSTERD_STATE_DIR to a directory that rosterd may write",
    );
    let setback = os_error(tried, error);
    if let Some((_, reason)) = not_owned(state_dir).filter(|_| is_denied) {
        return Fatal::new(Exit::Failed, setback.hint(reason).to_string());
    }
    let way = "set another state_dir in [agent], or give the agent's user access to this one";
    let hint = denied.or_else(|| setback.hint.clone()).unwrap_or_else(|| way.to_owned());
    let setback = setback.hint(hint);
    Fatal::new(Exit::Failed, setback.to_string())
}

/// The first file of a state directory that belongs to another user than this process, and what to do; root may use
/// all files. An agent that ran once as root leaves such files.
fn not_owned(state_dir: &Path) -> Option<(PathBuf, String)> {
    let own = Uid::effective();
    let below = |directory: &Path| {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut all = vec![state_dir.to_owned()];
    all.extend(below(state_dir));
    all.extend(below(state_dir).iter().flat_map(|path| below(path)));
    let owner = |path: &PathBuf| std::fs::symlink_metadata(path).ok().map(|found| found.uid());
    let (path, uid) =
        all.into_iter().find_map(|path| Some((path.clone(), owner(&path)?)).filter(|(_, uid)| *uid != own.as_raw()))?;
    let reason = format!(
        "{} belongs to uid {uid}, and rosterd runs as uid {own}: run `chown -R {own} {}` as root and always run rosterd as \
         the same user, or use another directory with --state-dir",
        path.display(),
        state_dir.display()
    );
    (!own.is_root()).then_some((path, reason))
}

fn held(state_dir: &Path, path: &Path, holder: &str, wait: Duration) -> Fatal {
    let who = if !holder.is_empty() && holder.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("another agent (process {holder})")
    } else {
        "another agent".to_owned()
    };
    let message = format!(
        "waited {}, but {who} is still using the state directory {} (it holds the lock {}): stop it, or give this agent \
         its own `state_dir`",
        humantime::format_duration(wait),
        state_dir.display(),
        path.display(),
    );
    Fatal::new(Exit::Locked, message)
}
