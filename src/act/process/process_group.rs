//! The processes that a command is.

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::processes;

/// A process group, which is killed on drop unless it was left.
#[derive(Debug)]
pub struct Group {
    leader: Pid,
    left: bool,
}

impl Group {
    /// The group that a child leads.
    pub fn of(leader: Pid) -> Self {
        Self { leader, left: false }
    }

    /// Sends a signal to all of it.
    pub fn signal(&self, signal: Signal) {
        // The only failure is that no process is left.
        let _ = killpg(self.leader, signal);
    }

    /// Whether anybody in it still runs. An orphan that has ended stays in its group until the system's first process
    /// reaps it, and in a container that may be never: such a one does not count.
    pub async fn is_running(&self) -> bool {
        if killpg(self.leader, None) == Err(Errno::ESRCH) {
            return false;
        }
        let group = self.leader.as_raw();
        let runs = move |process: processes::Process| !process.ended && process.group == group;
        // `/proc` may hold thousands of processes: off the event loop.
        let looking = tokio::task::spawn_blocking(move || processes::all().map_or(true, |mut all| all.any(runs)));
        looking.await.unwrap_or(true)
    }

    /// Lets go of it: what is in it may go on.
    pub fn leave(&mut self) {
        self.left = true;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.left {
            self.signal(Signal::SIGKILL);
        }
    }
}
