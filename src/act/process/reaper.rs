//! The agent's own children, and others that fall to it when their parents end.
//!
//! A container's first process has to wait for every orphan, or it stays as a zombie. To wait for "any child" would take
//! the exit status of the agent's own commands away from them. So each of these is registered here, under a lock that is
//! held from before it is there until its number is known, and only who is not registered is waited for, by number.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tracing::debug;

use crate::decide::Event;
use crate::log::emit;

use super::processes;

/// How often orphans are looked for although no signal told of one.
const REAP_INTERVAL: Duration = Duration::from_mins(1);

/// The agent's own children by process number; the other number tells two with the same one apart.
static OWN: Mutex<Own> = Mutex::new(Own { last: 0, children: BTreeMap::new() });

#[derive(Debug)]
struct Own {
    last: u64,
    children: BTreeMap<i32, u64>,
}

fn own() -> MutexGuard<'static, Own> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child of the agent's own. Nobody else takes its exit status; when this is dropped before its end, it is waited for
/// nevertheless.
#[derive(Debug)]
pub struct OwnChild {
    child: Option<Child>,
    pid: i32,
    number: u64,
}

impl OwnChild {
    /// Starts it.
    ///
    /// # Errors
    /// The system refuses, or there is no such program.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut own = own();
        let child = command.spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| io::Error::other("it has no process number"))?;
        own.last += 1;
        let number = own.last;
        own.children.insert(pid, number);
        Ok(Self { child: Some(child), pid, number })
    }

    /// Its process number, also after its end.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.pid)
    }

    /// Waits for its end. May be dropped and called again.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let child = self.child.as_mut().ok_or_else(|| io::Error::other("it was let go"))?;
        let status = child.wait().await;
        forget(self.pid, self.number);
        status
    }

    /// How it has ended, if it has.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let child = self.child.as_mut().ok_or_else(|| io::Error::other("it was let go"))?;
        let status = child.try_wait();
        if !matches!(status, Ok(None)) {
            forget(self.pid, self.number);
        }
        status
    }
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let (pid, number) = (self.pid, self.number);
        // `None` after its end. Without a runtime the agent itself is at its end.
        if child.id().is_some()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                let _ = child.wait().await;
                forget(pid, number);
            });
        }
    }
}

/// A child has been waited for. Another one may have its process number by now.
fn forget(pid: i32, number: u64) {
    let mut own = own();
    if own.children.get(&pid) == Some(&number) {
        own.children.remove(&pid);
    }
}

/// From here on orphans among the agent's descendants fall to it, and are waited for as long as it lives.
///
/// # Errors
/// The system refuses.
pub fn adopt_orphans() -> io::Result<()> {
    set_child_subreaper(true)?;
    reap_orphans()
}

/// Waits from here on for every orphan that falls to the agent, as it is the first process of a container.
///
/// # Errors
/// The system refuses a signal handler.
pub fn reap_orphans() -> io::Result<()> {
    let mut ended = signal(SignalKind::child())?;
    tokio::spawn(async move {
        loop {
            // `/proc` may hold thousands of processes: off the event loop.
            match tokio::task::spawn_blocking(reap).await {
                Ok(Ok(0)) => {}
                Ok(Ok(orphans)) => debug!(orphans, "waited for orphans"),
                Ok(Err(why)) => emit(Event::OrphansNotReaped { reason: why.to_string() }),
                Err(why) => emit(Event::OrphansNotReaped { reason: why.to_string() }),
            }
            let _ = tokio::time::timeout(REAP_INTERVAL, ended.recv()).await;
        }
    });
    Ok(())
}

/// Waits for every child that has ended and is not the agent's own; how many there were.
///
/// Who is started meanwhile is no danger: an own child that was seen to have ended is registered by the time that the
/// lock is given, and until then nobody has waited for it.
fn reap() -> io::Result<usize> {
    let this = Pid::this().as_raw();
    let ended: Vec<i32> = processes::all()?
        .filter(|process| process.parent == this && process.ended)
        .map(|process| process.pid)
        .collect();
    let own = own();
    let orphans: Vec<&i32> = ended.iter().filter(|pid| !own.children.contains_key(pid)).collect();
    for pid in &orphans {
        // Whatever is answered: it is gone, or it was not there any more.
        let _ = waitpid(Pid::from_raw(**pid), Some(WaitPidFlag::WNOHANG));
    }
    Ok(orphans.len())
}
