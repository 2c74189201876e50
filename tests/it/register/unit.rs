//! packaging/rosterd.service, run by a real systemd with its sandbox.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::restarts::Reader;
use super::*;
use crate::harness::systemd::{Manager, is_in_namespaces};
use crate::support::docs::{root, text};

const UNIT: &str = "rosterd.service";

/// The unit with the paths of a test. The manager of a user cannot make a few parts of the sandbox, and the test's files
/// are in /tmp.
fn unit(site: &Site) -> String {
    let (binary, dir) = (Path::new(env!("CARGO_BIN_EXE_rosterd")), site.path(""));
    let command = format!("{} -c {}", binary.display(), site.path("rosterd.toml").display());
    let unit = text("packaging/rosterd.service").replace("/usr/bin/rosterd -c /etc/rosterd/rosterd.toml", &command);
    assert_eq!(unit.matches(&command).count(), 2, "{unit}");
    let bind = format!("BindPaths={} {}\n", dir.display(), binary.parent().unwrap().display());
    let rest = "ProtectHome=no\nProtectKernelLogs=no\nProtectKernelTunables=no\n";
    unit + &format!(
        "\n[Service]\n{bind}ReadWritePaths={}\n{rest}StandardError=append:{}\n",
        dir.display(),
        dir.join("log").display()
    )
}

#[test]
fn systemd_restarts_the_agent_without_a_gap_and_refuses_a_wrong_configuration() {
    if !is_in_namespaces("register::unit::systemd_restarts_the_agent_without_a_gap_and_refuses_a_wrong_configuration") {
        return;
    }
    let scene = Scene::new(&service(1));
    let good = scene.site.read("rosterd.toml");
    scene.site.file("systemd/user/rosterd.service", &unit(&scene.site));
    let systemd = Manager::start(&scene.site.path(""));
    let property = |name: &str| systemd.property(UNIT, name);
    let log = || scene.site.read("log");

    // A start ends when the agent can be asked.
    assert!(systemd.does("start", UNIT), "{}", log());
    let pid = property("MainPID");
    assert!(scene.site.run(&["status"]).expect(0).stdout().contains(&format!("process {pid},")));
    assert!(property("StatusText").contains(": "), "{}", property("StatusText"));
    assert!(holds(PATIENCE, || scene.node(NODE).is_some()), "{}", log());
    let before = scene.node(NODE);

    // A wrong configuration fails the reload, and changes nothing.
    let reader = Reader::finds(&scene, &[NODE.to_owned()]);
    scene.site.file("rosterd.toml", &format!("{good}unknown = 1\n"));
    assert!(!systemd.does("reload", UNIT));
    scene.site.file("rosterd.toml", &good.replace("name = \"web\"", "name = \"new\""));
    assert_eq!(log().matches("event=config_loaded").count(), 1);
    assert!(systemd.does("reload", UNIT), "{}", log());
    // Its job may end before systemd has read that the agent is still reloading.
    assert!(holds(PATIENCE, || scene.site.run(&["explain", "new"]).code() == 0), "{}", log());
    assert_eq!(property("MainPID"), pid);

    // Restarts, and an agent that hangs, leave the node where it is.
    let resumes = |times| holds(PATIENCE, || log().matches("session resumed from the previous run").count() == times);
    for times in 1..=2 {
        assert!(systemd.does("restart", UNIT) && resumes(times), "{}", log());
    }
    assert_ne!(property("MainPID"), pid);
    let watchdog = scene.site.path("systemd/user/rosterd.service.d/watchdog.conf");
    scene.site.file("systemd/user/rosterd.service.d/watchdog.conf", "[Service]\nWatchdogSec=500ms\n");
    assert!(watchdog.exists() && systemd.systemctl(&["daemon-reload"]).status.success());
    assert!(systemd.does("restart", UNIT) && resumes(3), "{}", log());
    kill(Pid::from_raw(property("MainPID").parse().unwrap()), Signal::SIGSTOP).unwrap();
    assert!(holds(PATIENCE, || property("NRestarts") == "1"), "{}", property("Result"));
    assert!(resumes(4), "{}", log());
    assert_eq!(scene.node(NODE), before);
    let (reads, absences) = reader.end();
    assert!(reads > 0 && absences == 0, "{absences} of {reads} reads without the node");

    // A stop deregisters.
    assert!(systemd.does("stop", UNIT), "{}", log());
    assert!(scene.node(NODE).is_none());
}

#[test]
fn the_unit_is_sandboxed_and_systemd_finds_no_mistake_in_it() {
    let analyze = |args: &[&str]| {
        let output = Command::new("systemd-analyze").args(args).current_dir(root().join("packaging")).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (is_secure, told) = analyze(&["security", "--offline=true", "--threshold=20", UNIT]);
    assert!(is_secure && told.contains("Overall exposure level"), "{told}");
    let (_, told) = analyze(&["verify", "--man=no", "--recursive-errors=no", UNIT]);
    let wrong: Vec<&str> = told.lines().filter(|line| !line.contains("/usr/bin/rosterd is not executable")).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
