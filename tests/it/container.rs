//! The agent as a sidecar of Kubernetes, without a container engine: process 1 on a read-only root, with a `ConfigMap`, a
//! Secret and volumes that every user may write to.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use crate::exec::orphans::children;
use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::inside::{is_inside, run};

const CONFIG: &str = r#"
[[registry]]
name = "main"
url = "dir:SITE/registry"

[[registry]]
name = "secret"
url = "zk://127.0.0.1:1"
auth = [{ scheme = "digest", file = "SITE/secret/zk.auth" }]

[[roster]]
name = "web"
path = "/services/web"

[[template]]
src = "web.tera"
dest = "SITE/shared/web.cfg"
"#;

/// What a container with the settings of docs/containers.md sets.
const SETTINGS: &str = "export ROSTERD_STATE_DIR=SITE/run/state ROSTERD_SOCKET=SITE/run/rosterd.sock";

/// The namespaces of a test. A user other than root is root in its own.
pub fn namespaces() -> &'static [&'static str] {
    if Uid::effective().is_root() { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] }
}

/// A directory that every user may write to, as the root of an emptyDir.
fn volume(site: &Site, name: &str) {
    let at = site.path(name);
    fs::create_dir_all(&at).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=0777", "none"]).arg(at));
}

/// Puts files into a volume as kubelet does: in a new directory, to which the link `..data` then leads.
fn project(site: &Site, name: &str, version: &str, files: &[(&str, &str)], mode: u32) {
    let (at, data) = (site.path(name), format!("..{version}"));
    fs::create_dir(at.join(&data)).unwrap();
    fs::set_permissions(at.join(&data), Permissions::from_mode(0o755)).unwrap();
    for (file, text) in files {
        let path = at.join(&data).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let top = file.split('/').next().unwrap();
        let _ = symlink(Path::new("..data").join(top), at.join(top));
    }
    symlink(data, at.join("..data_tmp")).unwrap();
    fs::rename(at.join("..data_tmp"), at.join("..data")).unwrap();
}

/// The volumes of a pod.
fn pod(trust: &str) -> Site {
    let site = Site::new("");
    fs::set_permissions(site.path(""), Permissions::from_mode(0o755)).unwrap();
    site.file("registry/services/web/a:1", "");
    for name in ["etc", "secret", "shared", "run"] {
        volume(&site, name);
    }
    let folder = site.path("").to_string_lossy().trim_end_matches('/').to_owned();
    let agent = format!("[agent]\n{trust}\n{CONFIG}").replace("SITE", &folder);
    let template = "{% for m in web %}{{ m.name }}\n{% endfor %}";
    project(&site, "etc", "1", &[("rosterd.toml", &agent), ("templates/web.tera", template)], 0o644);
    project(&site, "secret", "1", &[("zk.auth", "user:secret\n")], 0o440);
    if Uid::effective().is_root() && fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295") {
        run(Command::new("chgrp").args(["-R", "2000"]).arg(site.path("secret")));
    }
    site
}

/// Starts the agent as process 1 of a container as this user, after these commands of a shell.
fn start(site: &Site, user: u32, settings: &str) -> Agent {
    let drop_root = match user {
        0 => "",
        _ if fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295") => {
            "setpriv --reuid 1000 --regid 1000 --groups 2000"
        }
        _ => "unshare --user --map-user=1000 --map-group=1000",
    };
    let script = format!(
        "set -e; unset INVOCATION_ID ROSTERD_STATE_DIR ROSTERD_SOCKET
         for at in SITE/etc SITE/secret $(findmnt -nT SITE -o TARGET) /; do mount -o remount,bind,ro $at; done
         export ROSTERD_CONFIG=SITE/etc/rosterd.toml; {settings}
         exec {drop_root} \"$@\""
    );
    let script = script.replace("SITE", site.path("").to_string_lossy().trim_end_matches('/'));
    site.start_by(&["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &script, "sh"])
}

/// The agent writes its file, answers on its socket, and reads an updated `ConfigMap` on HUP.
fn runs(site: &Site, agent: &Agent) {
    agent.until("the file is written", || site.read("shared/web.cfg") == "a:1\n");
    let socket = site.path("run/rosterd.sock");
    agent.until("status answers", || site.run(&["status", "--socket", &socket.to_string_lossy()]).code() == 0);
    let config = site.read("etc/rosterd.toml");
    project(site, "etc", "2", &[("rosterd.toml", &config), ("templates/web.tera", "new\n")], 0o644);
    let (pid, _) = children(agent.pid())[0];
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGHUP).unwrap();
    agent.until("the new template is used", || site.read("shared/web.cfg") == "new\n");
}

#[test]
fn a_sidecar_runs_as_another_user_than_root() {
    if is_inside("container::a_sidecar_runs_as_another_user_than_root", namespaces()) {
        let site = pod("");
        runs(&site, &start(&site, 1000, SETTINGS));
    }
}

#[test]
fn a_sidecar_runs_as_root_where_it_trusts_the_volumes() {
    if is_inside("container::a_sidecar_runs_as_root_where_it_trusts_the_volumes", namespaces()) {
        let refused = pod("");
        start(&refused, 0, SETTINGS).says("it is world-writable").says("/shared to `trust` in [agent]");
        let site = pod("trust = [\"SITE/shared\", \"SITE/run\"]");
        let agent = start(&site, 0, SETTINGS);
        runs(&site, &agent);
        // Both at the start, and both on HUP.
        agent.says_times("event=directory_trusted", 4);
    }
}

#[test]
fn a_state_directory_that_cannot_be_written_is_reported_with_the_settings() {
    if is_inside("container::a_state_directory_that_cannot_be_written_is_reported_with_the_settings", namespaces()) {
        let site = pod("");
        for (more, is_unit) in [("", false), ("; export INVOCATION_ID=1", true)] {
            for user in [0, 1000] {
                let settings = format!("export ROSTERD_STATE_DIR=SITE/none{more}");
                let mut agent = start(&site, user, &settings);
                assert_eq!(agent.ends(PATIENCE).code(), Some(1));
                agent.says("set state_dir in [agent], --state-dir or $ROSTERD_STATE_DIR");
                assert_eq!(agent.said("ReadWritePaths=") > 0, is_unit, "{:?}", agent.log());
            }
        }
    }
}
