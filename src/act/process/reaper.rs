//! Waits for the agent's own children, and for orphans that the agent adopts.
//!
//! The first process of a container must wait for every orphan, or the orphan stays a zombie. Waiting for any child
//! would also take the exit status of the agent's own commands. So each own child is registered here, under a lock that
//! is held from before its start until its process ID is known. Only unregistered children are waited for here.

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

/// How often to look for orphans without a signal.
const REAP_INTERVAL: Duration = Duration::from_mins(1);

/// The agent's own children by process ID. The other number distinguishes two children with the same process ID.
static OWN: Mutex<Own> = Mutex::new(Own { last: 0, children: BTreeMap::new() });

#[derive(Debug)]
struct Own {
    last: u64,
    children: BTreeMap<i32, u64>,
}

fn own() -> MutexGuard<'static, Own> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child that the agent started. Nothing else takes its exit status. If this is dropped before the child ends, a task
/// waits for the child.
#[derive(Debug)]
pub struct OwnChild {
    child: Option<Child>,
    pid: i32,
    number: u64,
}

impl OwnChild {
    /// Starts a child.
    ///
    /// # Errors
    /// The system refuses, or the program does not exist.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut own = own();
        let child = command.spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| io::Error::other("the child has no process ID"))?;
        own.last += 1;
        let number = own.last;
        own.children.insert(pid, number);
        Ok(Self { child: Some(child), pid, number })
    }

    /// Its process ID, also after its end.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.pid)
    }

    /// Waits for its end. May be dropped and called again.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let child = self.child.as_mut().ok_or_else(|| io::Error::other("the child was released"))?;
        let status = child.wait().await;
        forget(self.pid, self.number);
        status
    }

    /// How it ended; `None` while it runs.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let child = self.child.as_mut().ok_or_else(|| io::Error::other("the child was released"))?;
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
        // The ID is `None` after the child's end. Without a runtime the agent itself is ending.
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

/// Unregisters a child that was waited for. Another child may have its process ID by now.
fn forget(pid: i32, number: u64) {
    let mut own = own();
    if own.children.get(&pid) == Some(&number) {
        own.children.remove(&pid);
    }
}

/// Makes the agent adopt the orphans among its descendants, and waits for them from now on.
///
/// # Errors
/// The system refuses.
pub fn adopt_orphans() -> io::Result<()> {
    set_child_subreaper(true)?;
    reap_orphans()
}

/// Waits from now on for every orphan that the agent adopts, for example as the first process of a container.
///
/// # Errors
/// The system refuses a signal handler.
pub fn reap_orphans() -> io::Result<()> {
    let mut ended = signal(SignalKind::child())?;
    tokio::spawn(async move {
        loop {
            // Off the event loop, because `/proc` may list thousands of processes.
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

/// Waits for every ended child that is not the agent's own. Returns the number of them.
///
/// A child that starts meanwhile is safe: if it is seen to have ended, it is registered before this takes the lock, and
/// nothing waits for it until then.
fn reap() -> io::Result<usize> {
    let this = Pid::this().as_raw();
    let ended: Vec<i32> = processes::all()?
        .filter(|process| process.parent == this && process.ended)
        .map(|process| process.pid)
        .collect();
    let own = own();
    let orphans: Vec<&i32> = ended.iter().filter(|pid| !own.children.contains_key(pid)).collect();
    for pid in &orphans {
        // Whatever the result, the orphan is gone.
        let _ = waitpid(Pid::from_raw(**pid), Some(WaitPidFlag::WNOHANG));
    }
    Ok(orphans.len())
}
