//! Checks of systemd units, and the output of `data_cmd`.

use super::*;
use crate::harness::systemd::{Manager, is_in_namespaces};

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

#[test]
fn a_real_systemd_is_asked() {
    if !is_in_namespaces("register::checks::a_real_systemd_is_asked") {
        return;
    }
    let scene = Scene::new(&unit("memo").replace("timeout = \"300ms\"", "interval = \"100ms\""));
    scene.site.file("systemd/user/memo.service", "[Service]\nExecStart=/bin/sleep 1000\n");
    let systemd = Manager::start(&scene.site.path(""));
    let agent = scene.site.start();
    agent.says("service is down");
    assert!(systemd.does("start", "memo.service"));
    scene.becomes(&agent, &["memo:1"]);
    assert!(systemd.does("stop", "memo.service"));
    scene.becomes(&agent, &[]);
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
