//! The faults of the crate zookeeper-client for which rosterd has its own ZooKeeper client (docs/decisions.md).

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use zookeeper_client::{AddWatchMode, EventType, PersistentWatcher, SessionState};

use crate::support::client::{Zk, on_runtime};
use crate::support::proxy::Proxy;
use crate::support::zookeeper::ZooKeeper;

const PATH: &str = "/services";
const NODE: &str = "/services/web";

/// A client whose connection can be reset, and another one that makes the changes.
struct Scene {
    client: Zk,
    proxy: Proxy,
    other: Zk,
}

impl Scene {
    fn new() -> Self {
        let zookeeper = ZooKeeper::shared();
        let chroot = zookeeper.chroot();
        let other = zookeeper.client(&chroot);
        other.put(NODE, b"0");
        let proxy = Proxy::to(&zookeeper.servers()[0]);
        let client = Zk::connect(&format!("{}{chroot}", proxy.address()));
        Self { client, proxy, other }
    }

    fn watch(&self) -> PersistentWatcher {
        self.client.run(|client| async move {
            client.watch(PATH, AddWatchMode::PersistentRecursive).await.expect("the server is 3.6 or later")
        })
    }

    fn read(&self) -> Vec<u8> {
        self.client.run(|client| async move { client.get_data(NODE).await.expect("the session works").0 })
    }

    /// Changes the node with the other client, and reads it with the watching one. A server sends the event of a change
    /// before any reply that shows the change, so when this returns, the event has arrived or never will.
    fn change(&self, data: &[u8]) {
        self.other.put(NODE, data);
        assert_eq!(self.read(), data);
    }
}

/// Takes the paths of the node events that are queued in a watcher.
fn queued(watcher: &mut PersistentWatcher) -> Vec<String> {
    let mut paths = Vec::new();
    while let Poll::Ready(event) = pin!(watcher.changed()).poll(&mut Context::from_waker(Waker::noop())) {
        paths.extend((event.event_type != EventType::Session).then_some(event.path));
    }
    paths
}

/// Waits until a lost connection is restored. The session is the same, because the crate does not start a new one.
fn reconnected(mut watcher: PersistentWatcher) -> PersistentWatcher {
    on_runtime(async move {
        while watcher.changed().await.session_state != SessionState::Disconnected {}
        while watcher.changed().await.session_state != SessionState::SyncConnected {}
        watcher
    })
}

/// The first reason for our own client. If this test fails, the crate has changed: review the first entry of
/// docs/decisions.md.
#[test]
fn the_crate_silently_loses_its_recursive_watch_after_a_reset() {
    let scene = Scene::new();
    let mut watcher = scene.watch();
    scene.change(b"1");
    assert_eq!(queued(&mut watcher), [NODE]);
    scene.proxy.hang_up();
    let mut watcher = reconnected(watcher);
    // Requests are served in order, so what the crate sends when it reconnects is in effect after this.
    assert_eq!(scene.read(), b"1");
    scene.change(b"2");
    assert_eq!(queued(&mut watcher), [""; 0], "the crate keeps its watch now: see docs/decisions.md");
    // The server still sends events to this session: it was not asked to.
    let mut again = scene.watch();
    scene.change(b"3");
    assert_eq!(queued(&mut again), [NODE]);
}
