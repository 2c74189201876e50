//! The process group of a command.

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::processes;

/// A process group, which is killed on drop unless it is released.
#[derive(Debug)]
pub struct ProcessGroup {
    leader: Pid,
    released: bool,
}

impl ProcessGroup {
    /// The group of which this process is the leader.
    pub fn new(leader: Pid) -> Self {
        Self { leader, released: false }
    }

    /// Sends a signal to every process in it.
    pub fn signal(&self, signal: Signal) {
        // The only failure is that no process is left.
        let _ = killpg(self.leader, signal);
    }

    /// Whether a process in it still runs. A zombie does not count: in a container, process 1 may never reap it.
    pub async fn is_running(&self) -> bool {
        if killpg(self.leader, None) == Err(Errno::ESRCH) {
            return false;
        }
        let group = self.leader.as_raw();
        let runs = move |process: processes::Process| !process.ended && process.group == group;
        // Off the event loop, because `/proc` may list thousands of processes.
        let looking = tokio::task::spawn_blocking(move || processes::all().map_or(true, |mut all| all.any(runs)));
        looking.await.unwrap_or(true)
    }

    /// Releases the group: its processes are not killed on drop.
    pub fn release(&mut self) {
        self.released = true;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if !self.released {
            self.signal(Signal::SIGKILL);
        }
    }
}
