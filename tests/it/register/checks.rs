//! Checks of systemd units, and the output of `data_cmd`.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use nix::unistd::Uid;

use super::*;
use crate::support::inside::{is_inside, run};

/// Answers as systemctl(1) documents `is-active`.
const SYSTEMCTL: &str = r#"#!/bin/sh
[ "$1 $2" = "is-active --" ] || exit 64
case $3 in
active.service) echo active ;;
inactive.service) echo inactive; exit 3 ;;
failed.service) echo failed; exit 3 ;;
unknown.service) echo inactive; exit 4 ;;
hanging.service) exec /bin/sleep 1000 ;;
esac
"#;

/// A service with the name of its unit.
fn unit(name: &str) -> String {
    format!(
        "[[service]]\nname = \"{name}\"\npath = \"{DIRECTORY}\"\nhost = \"{name}\"\nport = 1\n\
         check = {{ systemd = \"{name}.service\" }}\ntimeout = \"300ms\"\nfall = 1\n"
    )
}

#[test]
fn a_service_is_up_while_its_unit_is_active() {
    let units = ["active", "inactive", "failed", "unknown", "hanging"];
    let scene = Scene::new(&units.map(unit).join(""));
    scene.site.file("bin/systemctl", SYSTEMCTL);
    set_permissions(scene.site.path("bin/systemctl"), Permissions::from_mode(0o755)).unwrap();
    let path = format!("PATH={}", scene.site.path("bin").display());
    let agent = scene.site.start_by(&["env", &path]);
    agent.says("service registered: /services/web/active:1").says_times("service is down", 4);
    assert_eq!(scene.names(), ["active:1"]);
    for (name, reason) in [
        ("inactive", "exited with 3"),
        ("failed", "exited with 3"),
        ("unknown", "exited with 4"),
        ("hanging", "did not exit within 300ms and was terminated"),
    ] {
        let explained = scene.site.run(&["explain", name]).expect(0).stdout();
        assert!(explained.contains(&format!("unit {name}.service: ")) && explained.contains(reason), "{explained}");
    }
}

/// The service manager of a user as that of the system, in namespaces of the test.
#[test]
fn a_real_systemd_is_asked() {
    let namespaces: &[&str] = if Uid::effective().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let namespaces = [namespaces, &["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]].concat();
    if !is_inside("register::checks::a_real_systemd_is_asked", &namespaces) {
        return;
    }
    let scene = Scene::new(&unit("memo").replace("timeout = \"300ms\"", "interval = \"100ms\""));
    scene.site.file("systemd/user/memo.service", "[Service]\nExecStart=/bin/sleep 1000\n");
    run(Command::new("mount").args(["-t", "tmpfs", "none", "/run"]));
    // Without this directory, systemctl says that systemd does not run.
    fs::create_dir_all("/run/systemd/system").unwrap();
    symlink("/run/user/systemd/private", "/run/systemd/private").unwrap();
    fs::create_dir("/run/user").unwrap();
    let with_manager = |command: &mut Command| {
        command.env("XDG_RUNTIME_DIR", "/run/user").env("XDG_CONFIG_HOME", scene.site.path(""));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut manager = with_manager(Command::new("/lib/systemd/systemd").arg("--user"));
    let systemctl = |verb: &str| {
        let mut asked = with_manager(Command::new("systemctl").args(["--user", verb, "memo.service"]));
        asked.wait().unwrap().success()
    };
    let agent = scene.site.start();
    agent.says("service is down");
    agent.until("systemd starts the unit", || systemctl("start"));
    scene.becomes(&agent, &["memo:1"]);
    assert!(systemctl("stop"));
    scene.becomes(&agent, &[]);
    manager.kill().unwrap();
    manager.wait().unwrap();
}

#[test]
fn a_unit_without_systemctl_is_down() {
    let scene = Scene::new(&unit("active"));
    let path = format!("PATH={}", scene.site.path("out").display());
    let agent = scene.site.start_by(&["env", &path]);
    agent.says("service is down").says("program systemctl not found in PATH");
    assert_eq!(scene.names(), [""; 0]);
}

#[test]
fn only_the_standard_output_of_data_cmd_is_data() {
    let scene = Scene::new("");
    scene.site.file(
        "cmd",
        "echo 'deprecated: a=1' >&2; cat SITE/data; exit $(cat SITE/code)".replace("SITE", &dir(&scene)).as_str(),
    );
    scene.site.file("data", "weight=5").file("code", "0");
    scene.configure(&format!("{}data_cmd = {{ cmd = \"sh SITE/cmd\", interval = \"100ms\" }}\n", service(1)));
    let agent = scene.site.start();
    let has = |text: &str| scene.node(NODE).is_some_and(|(data, _)| data.contains(text));
    agent.until("the data is registered", || has("\"weight\":\"5\""));
    assert!(!has("deprecated"), "{:?}", scene.node(NODE));
    assert_eq!(agent.said("deprecated"), 0);
    scene.site.file("code", "7");
    agent.says("exited with 7:").says("deprecated: a=1");
    assert!(has("\"weight\":\"5\""));
    // Part of a long output is not data.
    scene.site.file("data", &format!("a=1,{}=2,b=3", "x".repeat(70_000))).file("code", "0");
    agent.says("its output is longer than 64 KiB");
    assert!(has("\"weight\":\"5\"") && !has("\"b\""));
}

fn dir(scene: &Scene) -> String {
    scene.site.path("").display().to_string().trim_end_matches('/').to_owned()
}
