//! Finds the processes of a command that still run after its process group was terminated: those that left the group,
//! and those that KILL does not end.
//!
//! A process belongs to a command if it is in the command's process group, descends from it, or did so before the group
//! was terminated. A process that left the group and lost its parent before that is not found.

use std::collections::BTreeSet;
use std::fmt;

use nix::unistd::Pid;

use super::processes;
use super::processes::Process;

#[cfg(test)]
mod tests;

/// How many survivors a message names.
const NAMED: usize = 5;

/// The processes of one command.
#[derive(Debug, Clone)]
pub struct ProcessTree {
    leader: i32,
    /// When its leader started, on the clock of [`Process::started`].
    started: u64,
    /// Descendants that were found before the group was terminated: process ID and start.
    known: BTreeSet<(i32, u64)>,
}

impl ProcessTree {
    /// The command whose process group this process, just started, leads.
    pub fn new(leader: Pid) -> Self {
        let leader = leader.as_raw();
        let started = processes::find(leader).map_or(0, |process| process.started);
        Self { leader, started, known: BTreeSet::new() }
    }

    /// Records its processes, which are then known without their parents. Reads all of `/proc`.
    pub fn record(&mut self) {
        let Ok(all) = processes::all() else { return };
        let all: Vec<Process> = all.collect();
        let members = self.members(&all);
        self.known.extend(members.iter().map(|member| (member.pid, member.started)));
    }

    /// Its processes among `all`.
    fn members<'a>(&self, all: &'a [Process]) -> Vec<&'a Process> {
        let is_known =
            |process: &Process| process.group == self.leader || self.known.contains(&(process.pid, process.started));
        let later = all.iter().filter(|process| process.started >= self.started);
        let (mut members, mut rest): (Vec<&Process>, Vec<&Process>) = later.partition(|process| is_known(process));
        let mut pids: BTreeSet<i32> = members.iter().map(|process| process.pid).collect();
        loop {
            let (children, others): (Vec<&Process>, Vec<&Process>) =
                rest.into_iter().partition(|process| pids.contains(&process.parent));
            if children.is_empty() {
                return members;
            }
            pids.extend(children.iter().map(|process| process.pid));
            members.extend(children);
            rest = others;
        }
    }

    /// Its processes that still run. Reads all of `/proc`.
    pub fn remaining(&self) -> RemainingProcesses {
        let Ok(all) = processes::all() else { return RemainingProcesses::default() };
        let all: Vec<Process> = all.filter(|process| !process.ended).collect();
        let (inside, outside): (Vec<&Process>, Vec<&Process>) =
            self.members(&all).into_iter().partition(|process| process.group == self.leader);
        RemainingProcesses {
            // Reading the command line of a process that KILL does not end may hang.
            inside: named(&inside, processes::name),
            outside: named(&outside, processes::command_line),
        }
    }
}

/// Processes as a message names them: `sleep 1000 (pid 4711)`.
fn named(them: &[&Process], name: impl Fn(i32) -> String) -> Vec<String> {
    let mut named: Vec<String> =
        them.iter().take(NAMED).map(|process| format!("{} (pid {})", name(process.pid), process.pid)).collect();
    if them.len() > NAMED {
        named.push(format!("{} more", them.len() - NAMED));
    }
    named
}

/// The processes of a command that still ran after its process group was terminated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemainingProcesses {
    /// Those in its group, which KILL did not end.
    inside: Vec<String>,
    /// Those that had left its group.
    outside: Vec<String>,
}

impl RemainingProcesses {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inside.is_empty() && self.outside.is_empty()
    }
}

/// The end of a message about the command; empty if no process remains.
impl fmt::Display for RemainingProcesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.inside.is_empty() {
            write!(f, "; still running after KILL: {}", self.inside.join(", "))?;
        }
        if !self.outside.is_empty() {
            write!(f, "; still running outside its process group: {}", self.outside.join(", "))?;
        }
        Ok(())
    }
}
