//! What the crate zookeeper-client does that made us write a ZooKeeper client of our own (docs/decisions.md).

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

    /// Has the other client change the node, and reads it by the one that watches. A server sends the event of a change
    /// before any answer that shows the change, so when this returns, the event has come or never will.
    fn change(&self, data: &[u8]) {
        self.other.put(NODE, data);
        assert_eq!(self.read(), data);
    }
}

/// Takes the paths of the node events that wait in a watcher's queue.
fn queued(watcher: &mut PersistentWatcher) -> Vec<String> {
    let mut paths = Vec::new();
    while let Poll::Ready(event) = pin!(watcher.changed()).poll(&mut Context::from_waker(Waker::noop())) {
        paths.extend((event.event_type != EventType::Session).then_some(event.path));
    }
    paths
}

/// Waits until a lost connection is back. The session is the same: the crate begins no new one.
fn reconnected(mut watcher: PersistentWatcher) -> PersistentWatcher {
    on_runtime(async move {
        while watcher.changed().await.session_state != SessionState::Disconnected {}
        while watcher.changed().await.session_state != SessionState::SyncConnected {}
        watcher
    })
}

/// The first reason for our own client. When this test fails, the crate has changed: look at the first entry of
/// docs/decisions.md again.
#[test]
fn the_crate_loses_its_recursive_watch_without_a_word_when_the_connection_is_reset() {
    let scene = Scene::new();
    let mut watcher = scene.watch();
    scene.change(b"1");
    assert_eq!(queued(&mut watcher), [NODE]);
    scene.proxy.hang_up();
    let mut watcher = reconnected(watcher);
    // Requests are served in order: whatever the crate asks for when it reconnects is in force after this.
    assert_eq!(scene.read(), b"1");
    scene.change(b"2");
    assert_eq!(queued(&mut watcher), [""; 0], "the crate keeps its watch now: see docs/decisions.md");
    // The server still sends events to this session: it was not asked to.
    let mut again = scene.watch();
    scene.change(b"3");
    assert_eq!(queued(&mut again), [NODE]);
}
