//! A real systemd: the manager of a user as that of the system, in namespaces of the test.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::unistd::Uid;

use crate::support::inside::{is_inside, run};
use crate::support::wait::{PATIENCE, holds};

/// Where the manager has its sockets.
const RUN: &str = "/run/manager";

/// Runs the test `name` again in namespaces for [`Manager`]. Returns `true` in that run.
pub fn is_in_namespaces(name: &str) -> bool {
    let namespaces: &[&str] = if Uid::effective().is_root() { &[] } else { &["--user", "--map-root-user"] };
    is_inside(name, &[namespaces, &["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]].concat())
}

/// A running manager, which is killed when dropped.
pub struct Manager {
    child: Child,
    root: PathBuf,
}

impl Manager {
    /// Starts it with the units in `systemd/user` of a directory.
    pub fn start(home: &Path) -> Self {
        let home = home.display().to_string();
        Self::start_in(Path::new("/"), &[], &[("XDG_CONFIG_HOME", &home)])
    }

    /// Starts the manager of another root, with the units of the system there. It starts only this unit.
    pub fn start_at(root: &Path, unit: &str) -> Self {
        // A unit is enabled if its link is where the user's links are.
        fs::remove_dir_all(root.join("etc/systemd/user")).unwrap();
        symlink("system", root.join("etc/systemd/user")).unwrap();
        let units = "/etc/systemd/user:/usr/lib/systemd/system";
        Self::start_in(root, &["--unit", unit], &[("SYSTEMD_UNIT_PATH", units), ("XDG_CONFIG_HOME", "/etc")])
    }

    fn start_in(root: &Path, options: &[&str], variables: &[(&str, &str)]) -> Self {
        let path = |name: &str| root.join(name.trim_start_matches('/'));
        run(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(path("/run")));
        // Without this directory, systemctl says that systemd does not run.
        fs::create_dir_all(path("/run/systemd/system")).unwrap();
        fs::create_dir(path(RUN)).unwrap();
        symlink(Path::new(RUN).join("systemd/private"), path("/run/systemd/private")).unwrap();
        let mut systemd = inside(root, &[&["/lib/systemd/systemd", "--user"], options].concat());
        systemd.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::null());
        let manager = Self { child: systemd.spawn().unwrap(), root: root.to_owned() };
        assert!(holds(PATIENCE, || manager.systemctl(&["list-units"]).status.success()), "systemd does not start");
        manager
    }

    pub fn systemctl(&self, args: &[&str]) -> Output {
        inside(&self.root, &[&["systemctl", "--user"], args].concat()).output().unwrap()
    }

    /// Whether systemctl succeeds.
    pub fn does(&self, verb: &str, unit: &str) -> bool {
        self.systemctl(&[verb, unit]).status.success()
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        let output = self.systemctl(&["show", unit, "--value", "-p", name]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// A command in another root, for which the manager is that of the system.
pub fn inside(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("chroot");
    command.arg(root).args(words).stdin(Stdio::null()).env("XDG_RUNTIME_DIR", RUN).env("SYSTEMD_IGNORE_CHROOT", "1");
    command
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
