//! Daemons: processes that a command which has ended by itself left running.
//!
//! That is a command's right. But what it left is the agent's in ways that nobody thinks of: it is in the agent's control
//! group, and ends with its service; or it writes to the agent, and has nobody who reads once that has ended. So it is
//! said, once for each command. All processes are looked at only after a command's first end, or where something shows
//! that somebody is left, and once for all commands that have ended meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::unistd::Pid;
use tracing::{info, warn};

use crate::digest::digest_of;

use super::children;
use super::processes::{self, Process};
use super::survivors::{Run, is_marked, named};

/// How long after a command's end it is looked for: what only outlives it by a moment is no daemon.
const SETTLED: Duration = Duration::from_secs(1);

static LOOKS: Mutex<Looks> =
    Mutex::new(Looks { known: BTreeSet::new(), told: BTreeSet::new(), waiting: Vec::new(), is_under_way: false });

#[derive(Debug)]
struct Looks {
    /// Commands that have ended before, by their digest.
    known: BTreeSet<u64>,
    /// Those of whose daemons was told.
    told: BTreeSet<u64>,
    /// Those whose daemons are to be looked for.
    waiting: Vec<Ended>,
    /// Whether somebody will look.
    is_under_way: bool,
}

fn looks() -> MutexGuard<'static, Looks> {
    LOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A command that has ended by itself.
#[derive(Debug)]
pub(super) struct Ended {
    /// What it is in words: `reload "start-it"`.
    pub(super) title: String,
    /// What all that comes of it is known by.
    pub(super) run: Run,
    /// Whether somebody holds its output.
    pub(super) is_heard: bool,
    /// Whether nobody should be left of it.
    pub(super) is_program: bool,
}

impl Ended {
    /// Has somebody look for its daemons soon, where it ends for the first time or `is_suspect`, unless it was told of them.
    pub(super) fn look(self, is_suspect: bool) {
        let mut looks = looks();
        let command = digest_of(self.title.as_bytes());
        let is_first = looks.known.insert(command);
        if looks.told.contains(&command) || !(is_first || is_suspect) {
            return;
        }
        looks.waiting.push(self);
        if !looks.is_under_way {
            looks.is_under_way = true;
            tokio::spawn(look_soon(UnderWay));
        }
    }
}

/// While this lives, somebody will look.
struct UnderWay;

impl Drop for UnderWay {
    fn drop(&mut self) {
        looks().is_under_way = false;
    }
}

async fn look_soon(under_way: UnderWay) {
    loop {
        tokio::time::sleep(SETTLED).await;
        let waiting = {
            let mut looks = looks();
            if looks.waiting.is_empty() {
                // Now, and not later: somebody else may come to wait, and have another one look.
                looks.is_under_way = false;
                std::mem::forget(under_way);
                return;
            }
            std::mem::take(&mut looks.waiting)
        };
        // Reads all of `/proc`: off the event loop.
        if let Err(why) = tokio::task::spawn_blocking(move || look(waiting)).await {
            warn!(%why, "looking for what commands have left broke off");
        }
    }
}

fn look(mut ended: Vec<Ended>) {
    let Ok(all) = processes::all() else { return };
    let all: Vec<Process> = all.filter(|process| !process.ended).collect();
    ended.sort_by_key(|one| one.run.began);
    let earliest = ended.first().map_or(0, |one| one.run.began);
    let later = all.iter().filter(|process| process.started >= earliest);
    let environments: BTreeMap<i32, Vec<u8>> =
        later.map(|process| (process.pid, processes::environment(process.pid).unwrap_or_default())).collect();
    let own = service(Pid::this().as_raw());
    let in_own = |process: &Process| own.is_some() && service(process.pid) == own;
    let has_lost_parents = |process: &Process| match process.parent {
        parent if parent == Pid::this().as_raw() => !children::is_own(process.pid),
        parent => parent == Pid::parent().as_raw() && in_own(process),
    };
    // Asked after its environment was: who ends just now is without a mark, too.
    let is_orphan = |process: &Process| has_lost_parents(process) && processes::is_whole(process.pid);
    let families = families(&ended, &all, &environments, is_orphan);
    for (one, family) in ended.into_iter().zip(families) {
        if !family.is_empty() && looks().told.insert(digest_of(one.title.as_bytes())) {
            let service = own.as_deref().filter(|_| family.iter().any(|process| in_own(process)));
            one.tell(&family, service);
        }
    }
}

/// Who is left of each command. One without a mark, whose parents are gone, is taken to be of the command
/// that began last before him.
fn families<'a>(
    ended: &[Ended],
    all: &'a [Process],
    environments: &BTreeMap<i32, Vec<u8>>,
    is_orphan: impl Fn(&Process) -> bool,
) -> Vec<Vec<&'a Process>> {
    let environment = |process: &Process| environments.get(&process.pid).map_or(&[][..], |it| it);
    let mut families: Vec<Vec<&Process>> = Vec::with_capacity(ended.len());
    let mut known = BTreeSet::new();
    for one in ended {
        let family = one.run.family(all, |process| one.run.mark().is_in(environment(process)));
        known.extend(family.iter().map(|process| process.pid));
        families.push(family);
    }
    for process in all.iter().filter(|process| !known.contains(&process.pid) && !is_marked(environment(process))) {
        let of = ended.iter().rposition(|one| one.run.began <= process.started);
        if let Some(family) = of.filter(|_| is_orphan(process)).and_then(|of| families.get_mut(of)) {
            family.push(process);
        }
    }
    families
}

impl Ended {
    fn tell(&self, family: &[&Process], service: Option<&str>) {
        let mut why = format!("{} has left {} running", self.title, named(family, processes::words).join(", "));
        if self.is_program {
            why += ", which may be in the way of the next one: have it stay in the foreground";
        }
        if let Some(service) = service {
            let _ = write!(
                why,
                "; it is in the agent's control group, {service}, and ends with it: have the system start it \
                 (systemctl, systemd-run)"
            );
        }
        if self.is_heard {
            why += "; it writes to the agent, and to nobody once that has ended: send its output elsewhere";
        }
        if self.is_program || self.is_heard || service.is_some() {
            warn!(%why, "a command has left processes behind");
        } else {
            info!(%why, "a command has left processes behind");
        }
    }
}

/// The control group of the systemd service that a process is in.
fn service(pid: i32) -> Option<String> {
    service_in(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?).map(str::to_owned)
}

/// The same, out of what `/proc` says of its control groups.
fn service_in(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let is_systemd = matches!(controllers, "" | "name=systemd");
        (is_systemd && path.ends_with(".service")).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, started: u64) -> Process {
        Process { pid, parent, group: pid, started, ended: false }
    }

    #[test]
    fn whose_daemon_it_is_says_its_mark_else_the_time() {
        let ended = [100, 200].map(|began| {
            let run = Run::at(&format!("mark{began}"), began);
            Ended { title: String::new(), run, is_heard: false, is_program: false }
        });
        // Of the first, although it is later than the second's beginning; and its child.
        let all =
            [process(11, 1, 210), process(12, 11, 220), process(13, 1, 150), process(14, 1, 250), process(15, 1, 50)];
        let elsewhere = [process(16, 1, 230), process(17, 8, 230)];
        let all: Vec<Process> = all.into_iter().chain(elsewhere).collect();
        let marked = |mark: &str| format!("A=1\0ROSTERD_RUN={mark}\0").into_bytes();
        let environments = BTreeMap::from([(11, marked("mark100")), (13, b"A=1\0".to_vec()), (16, marked("x"))]);
        let families = families(&ended, &all, &environments, |process| process.parent == 1);
        let pids = |at: usize| families[at].iter().map(|process| process.pid).collect::<Vec<_>>();
        assert_eq!(pids(0), [11, 12, 13], "by its mark, and between the two without one");
        assert_eq!(pids(1), [14], "no one who was there before, with another mark, or with parents");
    }

    #[test]
    fn a_service_is_a_control_group_of_systemd() {
        let cases = [
            ("0::/system.slice/rosterd.service\n", Some("/system.slice/rosterd.service")),
            ("5:cpu:/x.service\n1:name=systemd:/system.slice/a.service\n0::/\n", Some("/system.slice/a.service")),
            ("5:cpu:/x.service\n0::/user.slice/session-1.scope\n", None),
            ("0::/\n", None),
            ("", None),
        ];
        for (groups, expected) in cases {
            assert_eq!(service_in(groups), expected, "{groups}");
        }
    }
}
