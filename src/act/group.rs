//! The processes that a command is.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;

/// A process group, which is killed on drop unless it was left.
#[derive(Debug)]
pub(super) struct Group {
    leader: Pid,
    left: bool,
}

impl Group {
    /// The group that a child leads; `None` when it was waited for already.
    pub(super) fn of(child: &Child) -> Option<Self> {
        let leader = i32::try_from(child.id()?).ok()?;
        Some(Self { leader: Pid::from_raw(leader), left: false })
    }

    /// Sends a signal to all of it.
    pub(super) fn signal(&self, signal: Signal) {
        // The only failure is that there is nobody left.
        let _ = killpg(self.leader, signal);
    }

    /// Whether anybody in it still runs. An orphan that has ended stays in its group until the system's first process
    /// reaps it, and in a container that may be never: such a one does not count.
    pub(super) fn is_running(&self) -> bool {
        if killpg(self.leader, None) == Err(Errno::ESRCH) {
            return false;
        }
        let Ok(processes) = fs::read_dir("/proc") else { return true };
        let numbered = |name: &std::ffi::OsString| name.as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
        processes
            .flatten()
            .filter(|process| numbered(&process.file_name()))
            .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok())
            .any(|stat| runs_in(&stat, self.leader.as_raw()))
    }

    /// Lets go of it: whoever is in it may go on.
    pub(super) fn leave(&mut self) {
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

/// Whether a line of `proc_pid_stat(5)` is of a process that runs in this group. The name in parentheses may hold
/// anything; after it come state, parent and group.
fn runs_in(stat: &str, group: i32) -> bool {
    let Some((_, fields)) = stat.rsplit_once(')') else { return false };
    let mut fields = fields.split_whitespace();
    let ended = matches!(fields.next(), Some("Z" | "X" | "x") | None);
    !ended && fields.nth(1).is_some_and(|field| field.parse() == Ok(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_process_does_not_run() {
        let cases = [
            ("12 (sleep) S 1 7 7 0", true),
            ("12 (a) Z 1 9) D 1 7 7 0", true),
            ("12 (sleep) Z 1 7 7 0", false),
            ("12 (sleep) S 7 8 7 0", false),
            ("12 (sleep", false),
            ("", false),
        ];
        for (stat, runs) in cases {
            assert_eq!(runs_in(stat, 7), runs, "{stat}");
        }
    }
}
