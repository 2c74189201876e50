//! Who is left of a command: processes that have left its group, or that not even KILL ends.
//!
//! All that comes of a command is known by its environment, which is handed down and says what the command is run for; by
//! its process group; and by having been seen as a descendant before anybody was killed. Only who has a new environment,
//! and new parents, before that goes unnoticed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;

use nix::unistd::Pid;

use super::processes::{self, Process};

/// The variable that marks all that comes of a program, whose environment says nothing else of it.
pub(super) const MARK: &str = "ROSTERD_RUN";
/// How the names begin of what the agent puts into an environment.
const OWN: &[u8] = b"ROSTERD_";
/// What a shell's own files may set anew.
const PASSING: [&str; 2] = ["PATH", "LANG"];
/// How many survivors a message names.
const NAMED: usize = 5;

/// One run of a command, and what its processes are known by.
#[derive(Debug, Clone)]
pub(super) struct Run {
    mark: Mark,
    leader: i32,
    /// When its leader began, on the clock of [`Process::started`].
    pub(super) began: u64,
    /// Its descendants, as far as they were seen: number and start.
    seen: BTreeSet<(i32, u64)>,
}

/// Variables, with their values, that all have which come of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark(Vec<Vec<u8>>);

impl Mark {
    /// That of a run with this environment.
    pub(super) fn of<'a>(environment: impl IntoIterator<Item = (&'a str, &'a OsStr)>) -> Self {
        let lasting = environment.into_iter().filter(|(name, _)| !PASSING.contains(name));
        Self(lasting.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect())
    }

    /// Whether it is in an environment, as [`processes::environment`] gives one.
    pub(super) fn is_in(&self, environment: &[u8]) -> bool {
        let all: BTreeSet<&[u8]> = environment.split(|byte| *byte == 0).collect();
        !self.0.is_empty() && self.0.iter().all(|variable| all.contains(&**variable))
    }
}

/// Whether an environment is that of some run.
pub(super) fn is_marked(environment: &[u8]) -> bool {
    environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(OWN))
}

impl Run {
    /// The run that has just been started with this mark.
    pub(super) fn of(mark: Mark, leader: Pid) -> Self {
        let leader = leader.as_raw();
        let began = processes::one(leader).map_or(0, |process| process.started);
        Self { mark, leader, began, seen: BTreeSet::new() }
    }

    /// A run with this mark that began then.
    #[cfg(test)]
    pub(super) fn at(mark: &str, began: u64) -> Self {
        Self { mark: Mark::of([(MARK, OsStr::new(mark))]), leader: 0, began, seen: BTreeSet::new() }
    }

    /// Its mark.
    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Looks at who comes of it now, so that they are known later without their parents. Reads all of `/proc`.
    pub(super) fn look(&mut self) {
        let Ok(all) = processes::all() else { return };
        let all: Vec<Process> = all.collect();
        let family = self.family(&all, |_| false);
        self.seen.extend(family.iter().map(|member| (member.pid, member.started)));
    }

    /// Which of all processes come of it; `marked` says of those that are known by nothing else.
    pub(super) fn family<'a>(&self, all: &'a [Process], marked: impl Fn(&Process) -> bool) -> Vec<&'a Process> {
        let is_known = |process: &Process| {
            let own = process.pid == self.leader && process.started == self.began;
            own || process.group == self.leader
                || self.seen.contains(&(process.pid, process.started))
                || marked(process)
        };
        let later = all.iter().filter(|process| process.started >= self.began);
        let (mut family, mut rest): (Vec<&Process>, Vec<&Process>) = later.partition(|process| is_known(process));
        let mut pids: BTreeSet<i32> = family.iter().map(|process| process.pid).collect();
        loop {
            let (children, others): (Vec<&Process>, Vec<&Process>) =
                rest.into_iter().partition(|process| pids.contains(&process.parent));
            if children.is_empty() {
                return family;
            }
            pids.extend(children.iter().map(|process| process.pid));
            family.extend(children);
            rest = others;
        }
    }

    /// Who still lives of it. Reads all of `/proc`.
    pub(super) fn survivors(&self) -> Survivors {
        let Ok(all) = processes::all() else { return Survivors::default() };
        let all: Vec<Process> = all.filter(|process| !process.ended).collect();
        let marked = |process: &Process| processes::environment(process.pid).is_some_and(|it| self.mark.is_in(&it));
        let (inside, outside): (Vec<&Process>, Vec<&Process>) =
            self.family(&all, marked).into_iter().partition(|process| process.group == self.leader);
        Survivors {
            // Who hears no KILL may hang whoever reads his command line.
            inside: named(&inside, processes::name),
            outside: named(&outside, processes::words),
        }
    }
}

/// Processes as a message names them: `sleep 1000 (pid 4711)`.
pub(super) fn named(them: &[&Process], name: impl Fn(i32) -> String) -> Vec<String> {
    let mut named: Vec<String> =
        them.iter().take(NAMED).map(|process| format!("{} (pid {})", name(process.pid), process.pid)).collect();
    if them.len() > NAMED {
        named.push(format!("{} more", them.len() - NAMED));
    }
    named
}

/// Who of a command still lived after its process group was ended, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survivors {
    /// In its group, in spite of KILL.
    inside: Vec<String>,
    /// Those that had left its group.
    outside: Vec<String>,
}

impl Survivors {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inside.is_empty() && self.outside.is_empty()
    }

    /// All of them; `None` where there are none.
    pub(super) fn names(&self) -> Option<String> {
        (!self.is_empty()).then(|| [&*self.inside, &*self.outside].concat().join(", "))
    }
}

/// What follows upon "its process group was ended"; nothing where nobody survived.
impl fmt::Display for Survivors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.inside.is_empty() {
            write!(f, "; still there in spite of KILL: {}", self.inside.join(", "))?;
        }
        if !self.outside.is_empty() {
            write!(f, "; still running outside of it: {}", self.outside.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, group: i32, started: u64) -> Process {
        Process { pid, parent, group, started, ended: false }
    }

    #[test]
    fn a_family_is_known_by_group_parents_mark_and_by_having_been_seen() {
        let mut run = Run { leader: 10, ..Run::at("m", 100) };
        let before = [
            process(1, 0, 1, 1),
            process(10, 5, 10, 100),
            process(11, 10, 10, 101),
            process(12, 11, 12, 102),
            process(13, 12, 12, 103),
            process(14, 1, 10, 104),
            process(15, 1, 15, 105),
        ];
        let pids = |run: &Run, all: &[Process], marked: &[i32]| -> Vec<i32> {
            let mut pids: Vec<i32> =
                run.family(all, |process| marked.contains(&process.pid)).iter().map(|process| process.pid).collect();
            pids.sort_unstable();
            pids
        };
        assert_eq!(pids(&run, &before, &[]), [10, 11, 12, 13, 14]);
        assert_eq!(pids(&run, &before, &[15]), [10, 11, 12, 13, 14, 15]);
        run.seen = BTreeSet::from([(12, 102), (13, 103), (16, 106)]);
        let after = [
            process(12, 1, 12, 102),
            // Another one has its number.
            process(13, 1, 13, 999),
            process(16, 1, 16, 106),
            process(17, 16, 17, 107),
            // From before the run.
            process(18, 10, 18, 99),
        ];
        assert_eq!(pids(&run, &after, &[]), [12, 16, 17]);
    }

    #[test]
    fn few_are_named() {
        let many: Vec<Process> = (1..=7).map(|pid| process(pid, 1, pid, 1)).collect();
        let survivors = |count: usize| Survivors {
            inside: Vec::new(),
            outside: named(&many.iter().take(count).collect::<Vec<_>>(), |_| "x".into()),
        };
        assert_eq!(survivors(0).to_string(), "");
        assert_eq!(survivors(2).to_string(), "; still running outside of it: x (pid 1), x (pid 2)");
        assert!(survivors(7).to_string().ends_with("x (pid 5), 2 more"));
        let both = Survivors { inside: vec!["dd (pid 3)".into()], ..survivors(1) };
        assert_eq!(
            both.to_string(),
            "; still there in spite of KILL: dd (pid 3); still running outside of it: x (pid 1)"
        );
    }
}
