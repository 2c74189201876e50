//! A network for a single test, with hosts that can be isolated from each other. It needs no root if the kernel permits
//! user namespaces.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use super::inside::{self, run};
use super::wait::{PATIENCE, eventually};

/// Runs the test `name` again in its own network, and fails if it fails. Returns `true` in that run.
#[must_use]
pub fn is_inside(name: &str) -> bool {
    let is_inside = inside::is_inside(name, &["--user", "--map-root-user", "--net"]);
    if is_inside {
        ip("link set lo up");
    }
    is_inside
}

/// Runs `ip` with these arguments.
pub fn ip(words: &str) {
    run(Command::new("ip").args(words.split(' ')));
}

/// Hosts on one bridge, to which the test's own process is connected too. Only inside.
pub struct Network {
    /// One process for each host, which keeps its namespace alive. It ends with its input.
    hosts: Vec<Child>,
}

impl Network {
    pub fn new(hosts: usize) -> Self {
        ip("link add bridge type bridge");
        ip("addr add 10.77.0.100/24 dev bridge");
        ip("link set bridge up");
        let hosts = (0..hosts).map(|_| holder()).collect();
        let network = Self { hosts };
        for (index, host) in network.hosts.iter().enumerate() {
            ip(&format!("link add port{index} type veth peer name eth0 netns {}", host.id()));
            ip(&format!("link set port{index} master bridge up"));
            let address = Self::address(index);
            network.inside(index, "ip", "link set lo up");
            network.inside(index, "ip", &format!("addr add {address}/24 dev eth0"));
            network.inside(index, "ip", "link set eth0 up");
        }
        network
    }

    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// The address of a host.
    pub fn address(index: usize) -> String {
        format!("10.77.0.{}", index + 1)
    }

    /// The command prefix that runs another command on a host.
    pub fn enter(&self, index: usize) -> Vec<String> {
        vec!["nsenter".into(), format!("--net=/proc/{}/ns/net", self.hosts[index].id()), "--".into()]
    }

    /// Drops all packets between this host and the others. The test's own process still reaches it.
    pub fn cut(&self, index: usize) {
        let others = (0..self.hosts.len()).filter(|other| *other != index).map(Self::address);
        let others = others.collect::<Vec<_>>().join(", ");
        let rules = format!(
            "table inet cut {{\n\
             chain input {{\ntype filter hook input priority 0;\nip saddr {{ {others} }} drop\n}}\n\
             chain output {{\ntype filter hook output priority 0;\nip daddr {{ {others} }} drop\n}}\n}}\n"
        );
        let mut command = self.command(index, "nft");
        let mut nft = command.args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "nft refused {rules}");
    }

    /// Undoes a cut.
    pub fn heal(&self, index: usize) {
        self.inside(index, "nft", "delete table inet cut");
    }

    fn inside(&self, index: usize, program: &str, words: &str) {
        run(self.command(index, program).args(words.split(' ')));
    }

    fn command(&self, index: usize, program: &str) -> Command {
        let enter = self.enter(index);
        let mut command = Command::new(&enter[0]);
        command.args(&enter[1..]).arg(program);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in &mut self.hosts {
            drop(host.stdin.take());
            let _ = host.wait();
        }
    }
}

/// A process in its own network namespace.
fn holder() -> Child {
    let mut holder = Command::new("unshare").args(["--net", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let space = |who: &str| std::fs::read_link(format!("/proc/{who}/ns/net")).ok();
    let (own, id) = (space("self"), holder.id().to_string());
    eventually(PATIENCE, "a network namespace", || {
        assert!(holder.try_wait().unwrap().is_none(), "unshare --net cat has ended");
        space(&id).is_some_and(|space| Some(space) != own)
    });
    holder
}
