//! The control socket: its owner, permissions, and invalid requests.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{CONFIG, lose, member, site, site_with, status, up};
use crate::harness::site::Site;

#[test]
fn without_an_agent_queries_exit_69_and_name_the_socket() {
    let site = site(1);
    let socket = site.path("agent.sock").display().to_string();
    for args in
        [&["status"][..], &["status", "--json"], &["explain", "web"], &["accept", "web"], &["pause"], &["resume"]]
    {
        let none = site.run(args);
        let said = none.expect(69).stderr();
        assert!(said.contains(&format!("no agent answers at {socket}: ")), "{said}");
        assert!(said.contains("--socket") && none.stdout().is_empty(), "{said}");
    }
    drop(UnixListener::bind(site.path("agent.sock")).unwrap());
    site.run(&["status"]).expect(69);
    let elsewhere = site.run(&["status", "--socket", "elsewhere.sock"]);
    assert!(elsewhere.expect(69).stderr().contains("elsewhere.sock"));
    site.run(&["-c", "missing.toml", "status"]).expect(78);
    let default = site.run_with_env(&[("ROSTERD_CONFIG", "")], &["status"]);
    assert!(default.expect(69).stderr().contains("/run/rosterd/rosterd.sock"), "{}", default.stderr());
    // The socket of a dead agent is replaced, and an invalid configuration does not prevent a query.
    let _agent = up(&site);
    site.file("rosterd.toml", &site.read("rosterd.toml").replace("[[roster]]", "[[roster]]\nmni = 2"));
    site.run(&["status"]).expect(0);
}

/// Sends bytes, and returns what comes back until the other side closes the connection.
fn raw(site: &Site, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(site.path("agent.sock")).unwrap();
    // The agent may close the connection before everything is sent.
    let _ = stream.write_all(bytes);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn the_socket_withstands_invalid_requests() {
    let site = site(1);
    let mut agent = up(&site);
    let mode = fs::symlink_metadata(site.path("agent.sock")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o660);
    for (bytes, words) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "does not understand"),
        (b"{}\n", "does not understand"),
        (b"{\"v\":1,\"ask\":\"fly\"}\n", "does not understand"),
        (b"{\"v\":2,\"ask\":\"status\"}\n", "a different protocol version"),
        (&[b'x'; 9000], "longer than 8 KiB"),
        (&[&[b' '; 8193][..], b"\n"].concat(), "longer than 8 KiB"),
        (b"\xff\n", "does not understand"),
    ] {
        let answer = raw(&site, bytes);
        assert!(answer.contains(words) && answer.lines().count() == 1, "{answer}");
    }
    // All connections are in use by silent clients; a new client waits for one of them.
    let mut idle: Vec<UnixStream> = (0..16).map(|_| UnixStream::connect(site.path("agent.sock")).unwrap()).collect();
    let mut late = UnixStream::connect(site.path("agent.sock")).unwrap();
    late.write_all(b"{\"v\":1,\"ask\":\"status\"}\n").unwrap();
    late.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(late.read(&mut [0; 1]).is_err(), "no connection is free");
    drop(idle.pop());
    late.set_read_timeout(None).unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"services\":[]"), "{answer}");
    for stream in &mut idle {
        answer.clear();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("did not arrive within"), "{answer}");
    }
    assert!(agent.stop().success());
}

#[test]
fn other_users_may_query_but_not_command() {
    let site = site(8);
    let agent = up(&site);
    lose(&site, &agent, 3..=8);
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = site.path("rosterd");
    // Another process must not have the copy open for writing, or it cannot be executed. Any other test may start a
    // process just then.
    let copied = Command::new("cp").args([env!("CARGO_BIN_EXE_rosterd").as_ref(), binary.as_os_str()]).status();
    assert!(copied.unwrap().success());
    // A user with the socket's group and no other rights.
    let as_other = |args: &[&str]| {
        let mut command = Command::new(&binary);
        command.args(args).args(["--socket", site.path("agent.sock").to_str().unwrap()]).env_clear().current_dir("/");
        let output = command.uid(65534).gid(0).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = as_other(&["status"]);
    assert!(code == 0 && said.contains("HELD"), "{code} {said}");
    assert_eq!(as_other(&["explain", "web"]).0, 0);
    for command in [&["accept", "web"][..], &["pause"], &["resume"]] {
        let (code, said) = as_other(command);
        assert!(
            code == 1 && said.contains("user 65534 may query the agent, but not send it commands"),
            "{code} {said}"
        );
    }
    // The view that this user was shown does not count as shown to root.
    assert!(site.run(&["accept", "web"]).expect(3).stderr().contains("has changed since it was last reviewed"));
    assert!(status(&site)["paused"].is_null() && !status(&site)["rosters"][0]["hold"].is_null());
    site.remove(&member(2));
    agent.says("hold in effect: 1 of 8");
    assert_eq!((as_other(&["status"]).0, as_other(&["explain", "web"]).0), (0, 0));
    assert!(site.run(&["accept", "web"]).expect(3).stderr().contains("has changed since it was last reviewed"));
    drop(agent);
}

#[test]
fn an_agent_runs_without_its_socket_and_leaves_a_live_one() {
    let site = site(1);
    site.file("agent.sock", "mine");
    let mut agent = site.start();
    agent.says("control socket unavailable");
    agent.until("the file", || site.path("out/list").exists());
    assert_eq!(site.read("agent.sock"), "mine");
    site.remove("agent.sock");
    agent.says("control socket is listening");
    site.run(&["status"]).expect(0);
    let other = site.read("rosterd.toml").replace("\"state\"", "\"state2\"").replace("out/list", "out/list2");
    site.file("other.toml", &other);
    let mut second = site.start_with(&["-c", "other.toml", "run"]);
    second.says("another agent is listening on it");
    assert_eq!(status(&site)["pid"], agent.pid());
    assert!(second.stop().success());
    assert_eq!(status(&site)["pid"], agent.pid(), "an agent without a socket removes none");
    site.file("rosterd.toml", &site.read("rosterd.toml").replace("agent.sock", "run/deep/agent.sock"));
    agent.signal(Signal::SIGHUP);
    // The file exists a moment before the agent listens.
    agent.until("it moves with the configuration", || site.run(&["status"]).code() == 0);
    assert!(site.path("run/deep/agent.sock").exists());
    assert!(!site.path("agent.sock").exists());
    assert!(agent.stop().success());
}

#[test]
fn the_socket_belongs_to_the_configured_group() {
    let config = format!("[status]\nsocket = \"agent.sock\"\ngroup = \"daemon\"\n{CONFIG}");
    let site = site_with(&config, 1);
    let _agent = up(&site);
    let meta = fs::symlink_metadata(site.path("agent.sock")).unwrap();
    let group = nix::unistd::Group::from_name("daemon").unwrap().unwrap();
    assert_eq!((meta.gid(), meta.mode() & 0o777), (group.gid.as_raw(), 0o660));
}
