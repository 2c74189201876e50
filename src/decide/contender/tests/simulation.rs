//! Contenders against a server that loses connections, sessions and nodes at random.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::*;
use crate::support::random;

/// What happens to the reply of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    /// The connection is lost before the server has the request.
    LostBefore,
    /// The connection is lost after the server has done it.
    LostAfter,
}

/// One contender, and its session.
struct Client {
    lock: Contender,
    /// `None`: the server has expired it, or it never was.
    session: Option<i64>,
    is_connected: bool,
    request: Option<Request>,
    /// The node with its watch, and whether that has fired without being passed on yet.
    watch: Option<(String, bool)>,
    /// A node that an unsynced list may still miss.
    unseen: Option<String>,
    /// The session or the node is gone, and the contender was not told yet.
    is_unaware: bool,
    is_leaving: bool,
}

struct Server {
    rng: Rng,
    /// The sessions of the nodes.
    nodes: BTreeMap<String, i64>,
    next: u32,
    sessions: i64,
    has_parents: bool,
    clients: Vec<Client>,
}

impl Server {
    fn new(rng: Rng, count: usize) -> Self {
        let client = || Client {
            lock: Contender::resuming(),
            session: None,
            is_connected: false,
            request: None,
            watch: None,
            unseen: None,
            is_unaware: false,
            is_leaving: false,
        };
        let clients = (0..count).map(|_| client()).collect();
        Self { rng, nodes: BTreeMap::new(), next: 0, sessions: 0, has_parents: false, clients }
    }

    fn remove(&mut self, node: &str) -> bool {
        let was_there = self.nodes.remove(node).is_some();
        for client in &mut self.clients {
            if let Some((_, fired)) = client.watch.as_mut().filter(|(watched, _)| watched == node) {
                *fired = true;
            }
        }
        was_there
    }

    /// Removes the nodes of sessions.
    fn expire(&mut self, is_expired: impl Fn(i64) -> bool) {
        let gone = self.nodes.iter().filter(|(_, owner)| is_expired(**owner)).map(|(node, _)| node.clone());
        for node in gone.collect::<Vec<_>>() {
            self.remove(&node);
        }
    }

    /// Does a request of a client.
    fn answer(&mut self, at: usize, request: &Request, fate: Fate) -> Reply {
        let session = self.clients[at].session;
        match request {
            Request::CreateParents => {
                self.has_parents = true;
                Reply::Done
            }
            Request::Create { .. } if !self.has_parents => Reply::NoNode,
            Request::Create { prefix } => {
                let node = format!("{prefix}{:010}", self.next);
                self.next += 1;
                self.nodes.insert(node.clone(), session.unwrap());
                self.clients[at].unseen = (fate == Fate::LostAfter).then(|| node.clone());
                Reply::Created(node)
            }
            Request::List { synced } => {
                if *synced {
                    self.clients[at].unseen = None;
                }
                let lags = self.rng.bool();
                let unseen = self.clients[at].unseen.clone().filter(|_| lags);
                let names = self.nodes.keys().filter(|name| Some(*name) != unseen.as_ref()).cloned();
                Reply::Listed(names.collect())
            }
            Request::Watch { node, holder } if self.nodes.contains_key(node) => {
                self.clients[at].watch = Some((node.clone(), false));
                Reply::Watched(holder.as_deref().map(Arc::from))
            }
            Request::Watch { .. } => Reply::NoNode,
            Request::Delete { node } => {
                if self.remove(node) {
                    Reply::Done
                } else {
                    Reply::NoNode
                }
            }
        }
    }

    fn effects(&mut self, at: usize, effects: Vec<LockEffect>) {
        for effect in effects {
            match effect {
                LockEffect::Send(request) => {
                    assert!(self.clients[at].is_connected, "{request:?} without a connection");
                    let earlier = self.clients[at].request.replace(request);
                    assert_eq!(earlier, None, "there is one request at a time");
                }
                LockEffect::Changed(_) => {}
                LockEffect::Failed(reason, _) => panic!("{reason}"),
            }
        }
    }

    fn disconnect(&mut self, at: usize) {
        let client = &mut self.clients[at];
        (client.is_connected, client.request, client.watch) = (false, None, None);
        let effects = client.lock.disconnected();
        self.effects(at, effects);
    }

    /// One thing happens to one client.
    fn step(&mut self, at: usize, is_calm: bool) {
        let choice = if is_calm { 9 } else { self.rng.u32(..20) };
        let client = &mut self.clients[at];
        match choice {
            0 if client.is_connected => self.disconnect(at),
            1 => {
                // The server expires the session, whether it is connected or not.
                client.is_unaware = client.lock.node().is_some();
                let old = client.session.take();
                self.expire(|owner| Some(owner) == old);
            }
            // The host's own clock says that the session is over: its nodes stay until the server says so, too.
            2 if !client.is_connected => {
                client.is_unaware = false;
                let effects = client.lock.expired();
                let old = client.session.take();
                self.effects(at, effects);
                if self.rng.bool() {
                    self.expire(|owner| Some(owner) == old);
                }
            }
            3 if self.rng.u32(..3) == 0 => {
                if let Some(node) = client.lock.node().map(str::to_owned) {
                    client.is_unaware = true;
                    self.remove(&node);
                }
            }
            4 if self.rng.u32(..6) == 0 && !client.is_leaving => {
                client.is_leaving = true;
                let effects = client.lock.release(NOW);
                self.effects(at, effects);
            }
            5 if self.rng.u32(..3) == 0 => self.kill(at),
            _ if !client.is_connected || client.session.is_none() => self.reconnect(at),
            _ => self.advance(at, is_calm),
        }
    }

    /// The process is killed, and another one resumes its session.
    fn kill(&mut self, at: usize) {
        let request = self.clients[at].request.take().filter(|_| self.rng.bool());
        if let Some(request) = request.filter(|_| self.clients[at].session.is_some()) {
            self.answer(at, &request, Fate::LostAfter);
        }
        let client = &mut self.clients[at];
        (client.lock, client.is_connected, client.watch) = (Contender::resuming(), false, None);
        (client.is_unaware, client.is_leaving) = (false, false);
    }

    fn reconnect(&mut self, at: usize) {
        if self.clients[at].is_connected {
            self.disconnect(at);
        }
        if self.clients[at].session.is_none() {
            self.sessions += 1;
            self.clients[at].session = Some(self.sessions);
            self.clients[at].unseen = None;
            self.clients[at].is_unaware = false;
        }
        let client = &mut self.clients[at];
        client.is_connected = true;
        let session = client.session.unwrap();
        let effects = client.lock.connected(NOW, session, DIGITS);
        self.effects(at, effects);
    }

    /// A watch fires, or a request is answered, or its connection is lost.
    fn advance(&mut self, at: usize, is_calm: bool) {
        if self.clients[at].watch.as_ref().is_some_and(|(_, fired)| *fired) {
            self.clients[at].watch = None;
            let effects = self.clients[at].lock.changed(NOW);
            return self.effects(at, effects);
        }
        let Some(request) = self.clients[at].request.take() else { return };
        let fate = match self.rng.u32(..6) {
            0 if !is_calm => Fate::LostBefore,
            1 if !is_calm => Fate::LostAfter,
            _ => Fate::Answered,
        };
        let reply = if fate == Fate::LostBefore { None } else { Some(self.answer(at, &request, fate)) };
        match reply.filter(|_| fate == Fate::Answered) {
            None => self.disconnect(at),
            Some(reply) => {
                if matches!(&reply, Reply::Listed(names) if !self.has_own(at, names)) {
                    self.clients[at].is_unaware = false;
                }
                let effects = self.clients[at].lock.done(NOW, reply);
                self.effects(at, effects);
            }
        }
    }

    fn has_own(&self, at: usize, names: &[String]) -> bool {
        self.clients[at].lock.node().is_some_and(|node| names.iter().any(|name| name == node))
    }

    fn check(&self) {
        let mut holder = None;
        for client in self.clients.iter().filter(|client| !client.is_unaware && client.session.is_some()) {
            if matches!(client.lock.standing(), Standing::Held | Standing::Suspended) {
                let node = client.lock.node().expect("a lock is held by a node");
                assert!(self.nodes.contains_key(node), "held without a node");
                assert_eq!(contenders::in_order(self.nodes.keys().map(String::as_str))[0].name, node, "not the first");
                assert_eq!(holder.replace(node), None, "two holders");
            }
        }
    }

    /// Without further faults, everything settles.
    fn settle(&mut self) {
        // Sessions that only their clients gave up.
        let live: Vec<i64> = self.clients.iter().filter_map(|client| client.session).collect();
        self.expire(|owner| !live.contains(&owner));
        for _ in 0..50 {
            for at in 0..self.clients.len() {
                self.step(at, true);
                self.check();
            }
        }
        let mut held = 0;
        for client in &self.clients {
            let own = self.nodes.values().filter(|owner| Some(**owner) == client.session).count();
            if client.is_leaving {
                assert_eq!((own, client.lock.standing()), (0, &Standing::Released));
                continue;
            }
            // One that waits does not watch its own node, as in kazoo: it learns of the deletion when its turn comes.
            let may_lack = client.is_unaware && matches!(client.lock.standing(), Standing::Waiting { .. });
            assert!(own == 1 || (own == 0 && may_lack), "{own} nodes of one contender");
            match client.lock.standing() {
                Standing::Held => held += 1,
                Standing::Waiting { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        let remain = self.clients.iter().any(|client| !client.is_leaving);
        assert_eq!(held, usize::from(remain), "one holder");
    }
}

#[test]
fn whatever_is_lost_a_contender_has_one_node_and_the_first_one_holds_the_lock() {
    let mut rng = random::rng();
    for _ in 0..random::count(500, 50_000) {
        let count = rng.usize(1..5);
        let mut server = Server::new(rng.fork(), count);
        for _ in 0..rng.usize(..120) {
            let at = rng.usize(..count);
            server.step(at, false);
            server.check();
        }
        server.settle();
    }
}
