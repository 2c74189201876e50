//! What a program leaves running when it ends.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{is_gone, join, site};
use crate::harness::site::Site;

/// Ends what a program has left on purpose.
struct Left<'a>(&'a Site);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        for pid in self.0.read("left").lines().filter_map(|line| line.parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

#[test]
fn a_program_that_goes_to_the_background_is_told_of() {
    let site = site(&format!("{}\n[exec]\ncmd = [\"/bin/sh\", \"SITE/program.sh\"]\n", super::CONFIG));
    let folder = site.path("").to_string_lossy().into_owned();
    // One that stays in its group ends with it, one that leaves it goes on.
    let program = "sleep 1000 &\necho $! > SITE/in-group\n\
                   setsid sh -c 'echo $$ >> SITE/left; exec sleep 1000' &\n\
                   while ! test -e SITE/left; do sleep 0.02; done\n";
    site.file("program.sh", &program.replace("SITE/", &folder));
    join(&site, "one");
    let _left = Left(&site);
    let mut agent = site.start();
    agent.says("a command has left processes behind: program \"/bin/sh ");
    let log = agent.log();
    let line = log.iter().find(|line| line.contains("left processes behind")).unwrap();
    let left = fs::read_to_string(site.path("left")).unwrap();
    let is_named =
        left.lines().any(|pid| line.contains(&format!("has left sleep 1000 (pid {pid}) running, which may be")));
    assert!(is_named && line.contains("have it stay in the foreground"), "{left:?}: {line}");
    agent.until("its group has ended", || is_gone(&site.read("in-group")));
    assert!(!is_gone(left.lines().next().unwrap()));
    agent.stop();
}
