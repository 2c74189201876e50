//! Members that the agent may not read, of which the server sends no events.

use zookeeper_client::{Acl, Acls, AuthId, CreateMode, Permission};

use super::{CONFIG, becomes, member, site};
use crate::harness::site::{Agent, Site};
use crate::support::zookeeper::{Zk, ZooKeeper};

/// Who may read a node.
#[derive(Clone, Copy)]
enum Readers {
    Anyone,
    /// Only the client of the test.
    Owner,
}

impl Readers {
    fn acl(self) -> [Acl; 1] {
        match self {
            Self::Anyone => [Acl::new(Permission::ALL, AuthId::anyone())],
            Self::Owner => [Acl::new(Permission::ALL, AuthId::new("auth", ""))],
        }
    }
}

/// A client with an identity of its own, and the agent, which has none.
struct Fleet {
    client: Zk,
    site: Site,
    agent: Agent,
}

impl Fleet {
    /// The members 1 and 2 are in the file, and 2 may be readable only by the client.
    fn start(zookeeper: &ZooKeeper, watches: &str, second: Readers) -> Self {
        let chroot = zookeeper.chroot();
        let client = zookeeper.client(&chroot);
        client.run(|client| async move { client.auth("digest", b"owner:secret").await.unwrap() });
        client.put(&member(1), b"");
        let config = CONFIG.replace("session_timeout = \"4s\"", &format!("watches = \"{watches}\""));
        let site = site(&config, &format!("{}{chroot}", zookeeper.connect_string()));
        let fleet = Self { agent: site.start(), client, site };
        fleet.create(2, second);
        match second {
            Readers::Anyone => becomes(&fleet.agent, &fleet.site, [1, 2]),
            Readers::Owner => fleet.leaves_out(2),
        }
        fleet
    }

    fn create(&self, number: usize, readers: Readers) {
        self.client.run(move |client| async move {
            let acl = readers.acl();
            let options = CreateMode::Persistent.with_acls(Acls::from(&acl[..]));
            client.create(&member(number), b"", &options).await.unwrap();
        });
    }

    fn set_readers(&self, number: usize, readers: Readers) {
        self.client.run(move |client| async move {
            client.set_acl(&member(number), &readers.acl(), None).await.unwrap();
        });
    }

    /// Waits until the agent logs that a member is left out, because it may not be read.
    fn leaves_out(&self, number: usize) {
        self.agent.until(&format!("{number} is left out"), || {
            let name = member(number);
            self.agent.log().iter().any(|line| line.contains(&name) && line.contains("not authorized"))
        });
    }

    fn becomes<const N: usize>(&self, numbers: [usize; N]) {
        becomes(&self.agent, &self.site, numbers);
    }
}

/// Runs a test with each kind of watches.
fn with_each_watch(test: impl Fn(&ZooKeeper, &str)) {
    for watches in ["recursive", "oneshot"] {
        test(ZooKeeper::shared(), watches);
    }
}

#[test]
fn a_member_that_is_closed_to_the_agent_and_deleted_leaves_the_file() {
    with_each_watch(|zookeeper, watches| {
        let fleet = Fleet::start(zookeeper, watches, Readers::Anyone);
        // Twice: the watch is set again after it fired.
        for _ in 0..2 {
            fleet.set_readers(2, Readers::Owner);
            fleet.client.remove(&member(2));
            fleet.becomes([1]);
            fleet.create(2, Readers::Anyone);
            fleet.becomes([1, 2]);
        }
    });
}

#[test]
fn a_member_that_is_created_unreadable_is_left_out_with_a_log_line() {
    with_each_watch(|zookeeper, watches| {
        let fleet = Fleet::start(zookeeper, watches, Readers::Owner);
        fleet.create(3, Readers::Owner);
        fleet.leaves_out(3);
        fleet.becomes([1]);
    });
}

#[test]
fn a_member_that_is_opened_to_the_agent_joins_with_its_next_change() {
    with_each_watch(|zookeeper, watches| {
        // From 3.9.3 on, `exists` needs the right to read (ZOOKEEPER-2590): then no one-shot watch tells of the member.
        if watches == "oneshot" && ZooKeeper::has_other_version() {
            return;
        }
        let fleet = Fleet::start(zookeeper, watches, Readers::Owner);
        for _ in 0..2 {
            fleet.set_readers(2, Readers::Anyone);
            fleet.client.put(&member(2), b"");
            fleet.becomes([1, 2]);
            fleet.set_readers(2, Readers::Owner);
            fleet.client.remove(&member(2));
            fleet.becomes([1]);
            fleet.create(2, Readers::Owner);
            fleet.agent.until("it is left out again", || {
                let name = member(2);
                let log = fleet.agent.log();
                let last = log.iter().rev().find(|line| line.contains(&name));
                last.is_some_and(|line| line.contains("not authorized"))
            });
        }
    });
}
