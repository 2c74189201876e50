//! The Debian package.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::unistd::Uid;

use super::image::bootstrapped;
use super::restarts::Reader;
use super::*;
use crate::harness::systemd::{Manager, inside, is_in_namespaces};
use crate::support::docs::{root, text};
use crate::support::inside::run;
use crate::support::random::count;

const CONFIG: &str = "etc/rosterd/rosterd.toml";

/// What the manager of a user cannot do in a namespace, and where it does not make directories. No other unit is started,
/// because those of a boot would change the host.
const OVERRIDE: &str = "[Unit]\nDefaultDependencies=no\n[Service]\nProtectHome=no\nProtectKernelLogs=no\n\
                        ProtectKernelTunables=no\nReadWritePaths=/run /var/lib\n";

#[test]
fn the_package_has_what_the_makefile_makes_and_scripts_that_sh_accepts() {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let makefile = text("Makefile");
    for asset in deb["assets"].as_array().unwrap() {
        let (source, dest) = (asset[0].as_str().unwrap(), asset[1].as_str().unwrap());
        let stem = source.split("/*").next().unwrap();
        let is_made = makefile.contains(stem) || stem == "target/release/rosterd";
        assert!(if stem.starts_with("target/") { is_made } else { root().join(stem).exists() }, "{source}");
        assert!(dest.starts_with("usr/") || format!("{dest}rosterd.toml") == CONFIG, "{dest}");
    }
    assert_eq!(deb["conf-files"][0].as_str(), Some(&*format!("/{CONFIG}")));
    let scripts: Vec<_> =
        fs::read_dir(root().join("packaging/debian")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(scripts.len() >= 2);
    for script in scripts {
        run(Command::new("sh").arg("-n").arg(&script));
        // Where the parts that enable, start and stop the unit are put.
        assert!(fs::read_to_string(&script).unwrap().contains("\n#DEBHELPER#\n"), "{}", script.display());
    }
}

/// Builds the package.
fn built() -> PathBuf {
    run(Command::new("make").arg("deb").current_dir(root()));
    let files = fs::read_dir(root().join("target/debian")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "deb")).max().unwrap()
}

/// The same package with another version, and with another line in its configuration.
fn newer(package: &Path, version: &str, dir: &Path) -> PathBuf {
    run(Command::new("dpkg-deb").arg("-R").arg(package).arg(dir));
    let change = |name: &str, edit: &dyn Fn(String) -> String| {
        fs::write(dir.join(name), edit(fs::read_to_string(dir.join(name)).unwrap())).unwrap();
    };
    change("DEBIAN/control", &|it| it.replace("Version: 0.1.0-1", &format!("Version: {version}")));
    change(CONFIG, &|it| format!("# {version}\n{it}"));
    let new = dir.with_extension("deb");
    run(Command::new("dpkg-deb").args(["--root-owner-group", "-b"]).arg(dir).arg(&new));
    new
}

/// A Debian system with systemd, in which dpkg runs.
struct Host {
    root: PathBuf,
}

impl Host {
    fn new(root: PathBuf) -> Self {
        fs::create_dir(&root).unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&root));
        bootstrapped(&root, &["systemd"]);
        run(Command::new("mount").args(["-t", "proc", "none"]).arg(root.join("proc")));
        for name in ["dev", "sys"] {
            run(Command::new("mount").args(["--rbind", &format!("/{name}")]).arg(root.join(name)));
        }
        let host = Self { root };
        host.write("etc/systemd/system/rosterd.service.d/test.conf", OVERRIDE);
        host.write("etc/systemd/system/idle.target", "[Unit]\nDefaultDependencies=no\n");
        host
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.root.join(name).parent().unwrap()).unwrap();
        fs::write(self.root.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root.join(name)).unwrap_or_default()
    }

    /// Runs a command, and returns what it prints. dpkg keeps an edited configuration.
    fn runs(&self, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = inside(&self.root, words).output().unwrap();
        let told = String::from_utf8([stdout, stderr].concat()).unwrap();
        assert!(status.success(), "{words:?}: {told}");
        told
    }

    fn installs(&self, package: &Path) -> String {
        fs::copy(package, self.root.join("rosterd.deb")).unwrap();
        self.runs(&["dpkg", "--force-confold", "-i", "/rosterd.deb"])
    }

    /// Every file but those of dpkg, and what is mounted.
    fn files(&self) -> BTreeSet<String> {
        let find = [
            "find",
            "/",
            "-xdev",
            "(",
            "-path",
            "/var/lib/dpkg",
            "-o",
            "-path",
            "/var/log",
            "-o",
            "-path",
            "/rosterd.deb",
            ")",
            "-prune",
            "-o",
            "-print",
        ];
        self.runs(&find).lines().map(str::to_owned).collect()
    }
}

#[test]
fn an_upgrade_of_the_package_leaves_no_gap_and_a_purge_leaves_no_trace() {
    // Without `ROSTERD_PROVE`, the test of the layout has to do: this takes minutes, a mirror of Debian, and root.
    if !count(false, true) || !Uid::effective().is_root() {
        return;
    }
    if !is_in_namespaces("register::package::an_upgrade_of_the_package_leaves_no_gap_and_a_purge_leaves_no_trace") {
        return;
    }
    let package = built();
    let scene = Scene::new("");
    let host = Host::new(scene.site.path("root"));
    let systemd = Manager::start_at(&host.root, "idle.target");
    let property = |name: &str| systemd.property("rosterd.service", name);
    let before = host.files();

    // The agent runs as soon as it is installed, and does nothing yet.
    host.installs(&package);
    assert_eq!(property("ActiveState"), "active");
    assert!(host.runs(&["rosterd", "status"]).contains("OK"));
    host.runs(&["rosterd", "check"]);
    assert!(
        host.runs(&["bash", "-c", ". /usr/share/bash-completion/completions/rosterd && complete -p rosterd"])
            .contains("_rosterd")
    );

    let config = host.read(CONFIG).replace("127.0.0.1:2181", &scene.servers) + &service(1);
    host.write(CONFIG, &config);
    host.runs(&["systemctl", "reload", "rosterd"]);
    assert!(holds(PATIENCE, || scene.node(NODE).is_some()));
    let node = scene.node(NODE);
    let reader = Reader::finds(&scene, &[NODE.to_owned()]);

    let pid = property("MainPID");
    host.installs(&newer(&package, "0.1.0-2", &scene.site.path("second")));
    assert_ne!(property("MainPID"), pid);
    assert_eq!(host.read(CONFIG), config);
    assert!(host.read(&format!("{CONFIG}.dpkg-dist")).starts_with("# 0.1.0-2\n"));
    fs::remove_file(host.root.join(format!("{CONFIG}.dpkg-dist"))).unwrap();
    assert!(host.runs(&["rosterd", "status"]).contains("service web"));

    // A version that does not accept the configuration does not end the agent.
    let pid = property("MainPID");
    host.write(CONFIG, &format!("{config}unknown = 1\n"));
    let told = host.installs(&newer(&package, "0.1.0-3", &scene.site.path("third")));
    assert!(told.contains("the agent was not restarted"), "{told}");
    assert_eq!((property("MainPID"), property("ActiveState")), (pid, "active".into()));
    let (reads, absences) = reader.end();
    assert!(reads > 0 && absences == 0, "{absences} of {reads} reads without the node");
    assert_eq!(scene.node(NODE), node);

    host.runs(&["dpkg", "-r", "rosterd"]);
    assert!(scene.node(NODE).is_none());
    assert!(host.read(CONFIG).ends_with("unknown = 1\n") && host.root.join("var/lib/rosterd").exists());
    host.runs(&["dpkg", "-P", "rosterd"]);
    assert!(!host.root.join("run/rosterd").exists());
    let after = host.files();
    let traces: Vec<_> = after.symmetric_difference(&before).collect();
    assert!(traces.is_empty(), "{traces:?}");
}
