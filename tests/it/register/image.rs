//! The container that registers one service: its variables, and packaging/Dockerfile, whose steps are carried out here
//! instead of by a container engine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use nix::unistd::Uid;

use super::*;
use crate::harness::backend::Backend;
use crate::support::docs::{root, text};
use crate::support::inside::{is_inside, run};
use crate::support::random::count;

/// A script that starts the agent with these variables and no others.
fn script(env: &[(&str, &str)], command: &str) -> String {
    let quoted = env.iter().map(|(name, value)| format!("'{name}={value}'"));
    format!("exec env -i {} {command}\n", quoted.collect::<Vec<_>>().join(" "))
}

#[test]
fn the_container_is_configured_by_variables() {
    let scene = Scene::new("");
    let registry = format!("zk://{}", scene.servers);
    let env = [
        ("ZK_PATH", "/services/x"),
        ("SVC_HOST", "c1"),
        ("SVC_PORT", "8080"),
        ("CMD", "test $SVC_HOST = c1"),
        ("REFRESH", "1"),
        ("ROSTERD_REGISTRY", &registry),
        ("ROSTERD_STATE_DIR", "state"),
        ("ROSTERD_SOCKET", "r.sock"),
    ];
    let command = format!("{} register --from-env", env!("CARGO_BIN_EXE_rosterd"));
    scene.site.file("start.sh", &script(&env, &command));
    let start = scene.site.path("start.sh").display().to_string();
    let agent = scene.site.start_by(&["sh", &start]);
    agent.says("service registered: /services/x/c1:8080");
    assert!(scene.node("/services/x/c1:8080").unwrap().0.starts_with("{\"pid\":"));
    let missing = scene.site.run_without_config(&["register", "--from-env"]);
    assert!(missing.expect(78).stderr().contains("$CMD is not set"));
}

/// An instruction of the last stage.
#[derive(Debug)]
enum Step {
    Run(String),
    /// The binary of the first stage, to this path.
    Install(String),
    Env(Vec<(String, String)>),
    Entrypoint(Vec<String>),
}

/// The steps of the image. The first stage is the build of this binary, and is only compared with what the second one
/// takes from it.
fn steps() -> Vec<Step> {
    let file = text("packaging/Dockerfile").replace("\\\n", " ");
    let lines = || file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let stages: Vec<&str> = lines().filter(|line| line.starts_with("FROM ")).collect();
    assert_eq!(stages, ["FROM rust:1-slim-bookworm AS build", "FROM debian:bookworm-slim"]);
    let mut directory = "";
    let (mut steps, mut stage) = (Vec::new(), 0);
    for line in lines() {
        let (word, rest) = line.split_once(' ').unwrap();
        match (stage, word) {
            (_, "FROM") => stage += 1,
            (1, "WORKDIR") => directory = rest,
            (1, "COPY") => {
                let sources = rest.rsplit_once(' ').unwrap().0;
                sources.split(' ').for_each(|name| assert!(root().join(name).exists(), "{line}"));
            }
            (1, "RUN") => assert_eq!(rest, "cargo build --locked --profile dist --bin rosterd"),
            (2, "COPY") => {
                let to = rest.strip_prefix(&format!("--from=build {directory}/target/dist/rosterd ")).unwrap();
                steps.push(Step::Install(to.to_owned()));
            }
            (2, "RUN") => steps.push(Step::Run(rest.to_owned())),
            (2, "ENV") => {
                let pairs = rest.split(' ').map(|pair| pair.split_once('=').unwrap());
                steps.push(Step::Env(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()));
            }
            (2, "ENTRYPOINT") => steps.push(Step::Entrypoint(serde_json::from_str(rest).unwrap())),
            _ => panic!("{line}"),
        }
    }
    steps
}

/// The packages that a step installs.
fn packages(step: &str) -> impl Iterator<Item = &str> {
    let rest = step.split_once("apt-get install ").unwrap().1;
    rest.split(" && ").next().unwrap().split(' ').filter(|word| !word.starts_with('-'))
}

/// A root with Debian's base system and these packages, from its mirror.
pub fn bootstrapped(root: &Path, packages: &[&str]) {
    run(Command::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={}", packages.join(",")), "bookworm"])
        .arg(root)
        .arg("http://deb.debian.org/debian"));
}

fn run_step(root: &Path, step: &str) {
    run(Command::new("chroot").arg(root).args(["/bin/sh", "-c", step]));
}

/// A root with this host's libraries and only the programs of a shell. The packages of a step are those that are
/// installed on this host.
fn borrowed(root: &Path) {
    for name in ["usr/bin", "usr/lib", "etc/ssl", "proc", "dev", "run", "tmp"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for name in ["usr/lib", "etc/ssl", "dev"] {
        run(Command::new("mount").args(["--rbind", "-o", "ro"]).arg(Path::new("/").join(name)).arg(root.join(name)));
    }
    run(Command::new("mount").args(["-t", "proc", "none"]).arg(root.join("proc")));
    symlink("usr/bin", root.join("bin")).unwrap();
    for name in ["lib", "lib64"] {
        symlink(fs::read_link(Path::new("/").join(name)).unwrap(), root.join(name)).unwrap();
    }
    let lib64 = Path::new("/usr/lib64");
    if lib64.exists() {
        fs::create_dir_all(root.join("usr/lib64")).unwrap();
        run(Command::new("mount").args(["--bind"]).arg(lib64).arg(root.join("usr/lib64")));
    }
    for name in ["sh", "env"] {
        borrow(root, name);
    }
}

/// Copies a program of this host.
fn borrow(root: &Path, name: &str) {
    fs::copy(Path::new("/usr/bin").join(name), root.join("usr/bin").join(name)).unwrap();
}

fn borrow_packages(root: &Path, step: &str) {
    for package in packages(step) {
        let listed = Command::new("dpkg").args(["-L", package]).output().unwrap();
        assert!(listed.status.success(), "{package} is not installed: apt-get install {package}");
        for path in String::from_utf8(listed.stdout).unwrap().lines().filter(|path| path.contains("/bin/")) {
            let name = path.rsplit('/').next().unwrap();
            borrow(root, name);
            // As update-alternatives does for nc.openbsd.
            if let Some(plain) = name.strip_suffix(".openbsd") {
                symlink(name, root.join("usr/bin").join(plain)).unwrap();
            }
        }
    }
}

/// Carries the steps out in an empty directory, and returns the variables and the command of the image.
fn build(root: &Path) -> (Vec<(String, String)>, Vec<String>) {
    let is_whole = count(false, true);
    if is_whole {
        bootstrapped(root, &[]);
    } else {
        borrowed(root);
    }
    let (mut variables, mut command) = (Vec::new(), Vec::new());
    for step in steps() {
        match step {
            Step::Run(step) if is_whole => run_step(root, &step),
            Step::Run(step) => borrow_packages(root, &step),
            Step::Install(path) => _ = fs::copy(env!("CARGO_BIN_EXE_rosterd"), root.join(&path[1..])).unwrap(),
            Step::Env(pairs) => variables.extend(pairs),
            Step::Entrypoint(words) => command = words,
        }
    }
    (variables, command)
}

#[test]
fn the_image_registers_a_service_whose_check_calls_sh_nc_or_curl() {
    let namespaces: &[&str] =
        if Uid::effective().is_root() { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    if !is_inside("register::image::the_image_registers_a_service_whose_check_calls_sh_nc_or_curl", namespaces) {
        return;
    }
    let scene = Scene::new("");
    let root = scene.site.path("root");
    fs::create_dir(&root).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&root));
    let (variables, command) = build(&root);
    let backend = Backend::start();
    let (host, port) = backend.name().split_once(':').unwrap();
    let registry = format!("zk://{}", scene.servers);
    for (number, check) in
        ["nc -z $SVC_HOST $SVC_PORT", "curl -fsS http://${SVC_HOST}:$SVC_PORT/", "sh /check"].into_iter().enumerate()
    {
        fs::write(root.join("check"), format!("nc -z {host} {port} && curl -fsS http://{host}:{port}/\n")).unwrap();
        let path = format!("/services/{number}");
        let mut env: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        env.extend([("CMD", check), ("SVC_HOST", host), ("SVC_PORT", port), ("ZK_PATH", &path)]);
        env.extend([("REFRESH", "1"), ("ROSTERD_REGISTRY", &registry)]);
        env.push(("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
        fs::write(root.join("start"), script(&env, &command.join(" "))).unwrap();
        let mut agent = scene.site.start_by(&["chroot", &root.display().to_string(), "/bin/sh", "/start"]);
        agent.says(&format!("service registered: {path}/{host}:{port}"));
        assert!(agent.stop().success());
        assert!(scene.node(&format!("{path}/{host}:{port}")).is_none());
    }
}
