//! A fake server that keeps a tree in memory, records requests, and misbehaves on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::zk::{Decoder, Encoder, reply};

pub const EXISTS: i32 = 3;
pub const DATA: i32 = 4;
pub const SYNC: i32 = 9;
pub const CHILDREN: i32 = 12;
pub const MULTI_READ: i32 = 22;
pub const SET_WATCHES: i32 = 101;
pub const ADD_WATCH: i32 = 106;
const PING: i32 = 11;
const CLOSE: i32 = -11;

/// No right to read the node.
const NO_AUTH: i32 = -102;

#[derive(Debug, Clone, Default)]
struct Node {
    data: Vec<u8>,
    created: i64,
    changed: i64,
    children_changed: i64,
    list_changes: i32,
}

/// The tree of a server, and how it behaves.
#[derive(Default)]
pub struct State {
    nodes: BTreeMap<String, Node>,
    pub zxid: i64,
    /// The requests except pings: the operation, and its path or, for a multi-read, the number of nodes.
    pub requests: Vec<(i32, String)>,
    /// Operations without a reply, which those that follow wait for.
    pub ignores: BTreeSet<i32>,
    /// Operations on which it closes the connection.
    pub disconnects_on: BTreeSet<i32>,
    /// Operations on a path that fail with a code, and how often.
    pub refuses: BTreeMap<(i32, String), (i32, usize)>,
    /// Nodes that no client may read. They may not exist yet.
    pub closed: BTreeSet<String>,
    /// Wrong numbers of children.
    pub claimed_children: BTreeMap<String, i32>,
    /// The error code of replies to pings; 0 for none.
    pub ping_code: i32,
    /// Servers that close each connection at once.
    pub down: BTreeSet<String>,
    /// The number of connections so far, and the server of the last one.
    pub connections: usize,
    pub last: String,
    sessions: BTreeSet<i64>,
    last_session: i64,
    clients: Vec<Client>,
}

/// One connection.
struct Client {
    watches: BTreeSet<String>,
    /// One-shot watches: the read that set it, `DATA` or `CHILDREN`, and the path.
    one_shot: BTreeSet<(i32, String)>,
    /// A request has no reply. Replies are in order, so those that follow it have none either.
    is_stuck: bool,
    out: mpsc::UnboundedSender<Option<Vec<u8>>>,
}

/// A server; it ends with the test's runtime.
#[derive(Clone)]
pub struct Fake {
    pub address: String,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub async fn start() -> Self {
        let fake = Self { address: String::new(), state: Arc::default() };
        fake.put("/", "");
        fake.another().await
    }

    /// Another server of the same ensemble.
    pub async fn another(&self) -> Self {
        let subscriber = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self { address: subscriber.local_addr().unwrap().to_string(), state: Arc::clone(&self.state) };
        tokio::spawn({
            let fake = fake.clone();
            async move {
                loop {
                    let (stream, _) = subscriber.accept().await.unwrap();
                    if !fake.state().down.contains(&fake.address) {
                        tokio::spawn(fake.clone().serve(stream));
                    }
                }
            }
        });
        fake
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Creates a node with its ancestors, or sets its data, and sends events.
    pub fn put(&self, path: &str, data: &str) {
        self.state().put(path, data, true);
    }

    /// The same without events.
    pub fn put_without_event(&self, path: &str, data: &str) {
        self.state().put(path, data, false);
    }

    pub fn remove(&self, path: &str) {
        self.state().remove(path, true);
    }

    pub fn remove_without_event(&self, path: &str) {
        self.state().remove(path, false);
    }

    /// Closes every connection, and runs `meanwhile` before a client can reconnect.
    pub fn cut(&self, meanwhile: impl FnOnce(&mut State)) {
        let mut state = self.state();
        for client in state.clients.drain(..) {
            let _ = client.out.send(None);
        }
        meanwhile(&mut state);
        state.requests.clear();
    }

    /// The number of requests of an operation since `requests` was last cleared.
    pub fn count(&self, op: i32) -> usize {
        self.state().requests.iter().filter(|(operation, _)| *operation == op).count()
    }

    async fn serve(self, stream: TcpStream) {
        let (mut reader, mut writer) = stream.into_split();
        let (out, mut frames) = mpsc::unbounded_channel::<Option<Vec<u8>>>();
        tokio::spawn(async move {
            while let Some(Some(frame)) = frames.recv().await {
                if writer.write_all(&frame).await.is_err() {
                    return;
                }
            }
            let _ = writer.shutdown().await;
        });
        let Some(handshake) = frame(&mut reader).await else { return };
        let client = {
            let mut state = self.state();
            let _ = out.send(Some(state.handshake(&handshake)));
            state.connections += 1;
            state.last.clone_from(&self.address);
            state.clients.push(Client {
                watches: BTreeSet::new(),
                one_shot: BTreeSet::new(),
                is_stuck: false,
                out: out.clone(),
            });
            // Clients are told apart by their channels: their positions in the list change.
            out
        };
        while let Some(request) = frame(&mut reader).await {
            let mut state = self.state();
            if !state.clients.iter().any(|other| other.out.same_channel(&client)) {
                return;
            }
            state.answer(&request, &client);
        }
    }
}

async fn frame(reader: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = reader.read_u32().await.ok()?;
    let mut body = vec![0; length as usize];
    reader.read_exact(&mut body).await.ok()?;
    Some(body)
}

fn event(kind: i32, path: &str) -> Vec<u8> {
    let mut out = reply(-1, -1, 0);
    out.int(kind);
    out.int(3);
    out.bytes(path.as_bytes());
    out.frame()
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

impl State {
    pub fn put(&mut self, path: &str, data: &str, sends_event: bool) {
        if path != "/" && !self.nodes.contains_key(parent(path)) {
            self.put(parent(path), "", sends_event);
        }
        self.zxid += 1;
        let (zxid, is_new) = (self.zxid, !self.nodes.contains_key(path));
        let node = self.nodes.entry(path.to_owned()).or_default();
        (node.data, node.changed) = (data.as_bytes().to_vec(), zxid);
        if is_new {
            (node.created, node.children_changed) = (zxid, zxid);
            self.list_changed(parent(path));
        }
        if sends_event {
            self.notify(if is_new { 1 } else { 3 }, path);
        }
    }

    pub fn remove(&mut self, path: &str, sends_event: bool) {
        for child in self.children(path) {
            self.remove(&format!("{path}/{child}"), sends_event);
        }
        self.zxid += 1;
        self.nodes.remove(path);
        self.list_changed(parent(path));
        if sends_event {
            self.notify(2, path);
        }
    }

    pub fn has(&self, path: &str) -> bool {
        self.nodes.contains_key(path)
    }

    /// The number of sessions so far.
    pub fn sessions(&self) -> i64 {
        self.last_session
    }

    /// Expires every session.
    pub fn expire(&mut self) {
        self.sessions.clear();
    }

    fn list_changed(&mut self, path: &str) {
        if let Some(node) = self.nodes.get_mut(path) {
            (node.children_changed, node.list_changes) = (self.zxid, node.list_changes + 1);
        }
    }

    /// Sends the events of a change. As with a real server, an event of a closed node is not sent, and its one-shot
    /// watches are used up.
    fn notify(&mut self, kind: i32, path: &str) {
        let is_below = |top: &String| {
            top == "/" || path.strip_prefix(&**top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (is_list, above) = (kind != 3, parent(path));
        let (is_closed, is_above_closed) = (self.closed.contains(path), self.closed.contains(above));
        for client in &mut self.clients {
            let mut is_watched = client.watches.iter().any(is_below);
            is_watched |= client.one_shot.remove(&(DATA, path.to_owned()));
            is_watched |= kind == 2 && client.one_shot.remove(&(CHILDREN, path.to_owned()));
            if is_watched && !is_closed {
                let _ = client.out.send(Some(event(kind, path)));
            }
            if is_list && client.one_shot.remove(&(CHILDREN, above.to_owned())) && !is_above_closed {
                let _ = client.out.send(Some(event(4, above)));
            }
        }
    }

    fn children(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let below = self.nodes.range(prefix.clone()..).take_while(|(other, _)| other.starts_with(&prefix));
        let names = below.filter_map(|(other, _)| other.strip_prefix(&prefix));
        names.filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned).collect()
    }

    fn handshake(&mut self, handshake: &[u8]) -> Vec<u8> {
        let mut read = Decoder(handshake);
        let (_version, _zxid, timeout, wanted) =
            (read.int().unwrap(), read.long().unwrap(), read.int().unwrap(), read.long().unwrap());
        let is_over = wanted != 0 && !self.sessions.contains(&wanted);
        let id = if wanted == 0 {
            self.last_session += 1;
            self.sessions.insert(self.last_session);
            self.last_session
        } else {
            wanted
        };
        let mut out = Encoder::new();
        out.int(0);
        out.int(if is_over { 0 } else { timeout });
        out.long(if is_over { 0 } else { id });
        out.bytes(&[1; 16]);
        out.bool(false);
        out.frame()
    }

    fn answer(&mut self, request: &[u8], client: &mpsc::UnboundedSender<Option<Vec<u8>>>) {
        let mut read = Decoder(request);
        let (xid, op) = (read.int().unwrap(), read.int().unwrap());
        let send = |out: Encoder| {
            let _ = client.send(Some(out.frame()));
        };
        if op == PING {
            return send(reply(-2, self.zxid, self.ping_code));
        }
        if self.disconnects_on.contains(&op) || op == CLOSE {
            self.requests.push((op, String::new()));
            let _ = client.send(None);
            return;
        }
        let mut paths = Vec::new();
        let since = if op == SET_WATCHES { read.long().unwrap() } else { i64::MAX };
        if op == SET_WATCHES {
            assert_eq!([0; 3].map(|_| read.int().unwrap()), [0, 0, 1], "one list");
        }
        if op == MULTI_READ {
            while read.int() == Ok(DATA) {
                let _ = (read.bool(), read.int());
                paths.push(read.text().unwrap().to_owned());
                let _ = read.bool();
            }
            self.requests.push((op, paths.len().to_string()));
        } else {
            paths.push(read.text().unwrap().to_owned());
            self.requests.push((op, paths[0].clone()));
        }
        if let Some(client) = self.clients.iter_mut().find(|other| other.out.same_channel(client)) {
            let (node, is_closed) = (self.nodes.get(&paths[0]), self.closed.contains(&paths[0]));
            let is_set = [EXISTS, DATA, CHILDREN].contains(&op) && read.bool() == Ok(true);
            match op {
                ADD_WATCH => _ = client.watches.insert(paths[0].clone()),
                SET_WATCHES if node.is_some_and(|node| node.children_changed > since) => {
                    let _ = client.out.send(Some(event(4, &paths[0])));
                }
                SET_WATCHES => _ = client.one_shot.insert((CHILDREN, paths[0].clone())),
                EXISTS if is_set => _ = client.one_shot.insert((DATA, paths[0].clone())),
                _ if is_set && node.is_some() && !is_closed => _ = client.one_shot.insert((op, paths[0].clone())),
                _ => {}
            }
        }
        if let Some(client) = self.clients.iter_mut().find(|other| other.out.same_channel(client)) {
            client.is_stuck |= self.ignores.contains(&op);
            if client.is_stuck {
                return;
            }
        }
        if let Some((code, times)) = self.refuses.get_mut(&(op, paths[0].clone())).filter(|(_, times)| *times > 0) {
            *times -= 1;
            return send(reply(xid, self.zxid, *code));
        }
        let is_there = self.nodes.contains_key(&paths[0]) || [MULTI_READ, ADD_WATCH, SET_WATCHES, SYNC].contains(&op);
        let is_closed = [DATA, CHILDREN].contains(&op) && self.closed.contains(&paths[0]);
        let code = if is_closed { NO_AUTH } else { -101 };
        let mut out = reply(xid, self.zxid, if is_there && !is_closed { 0 } else { code });
        match op {
            _ if !is_there || is_closed => {}
            EXISTS => self.stat(&paths[0], &mut out),
            DATA => self.data(&paths[0], &mut out),
            CHILDREN => {
                let names = self.children(&paths[0]);
                out.int(i32::try_from(names.len()).unwrap());
                for name in &names {
                    out.bytes(name.as_bytes());
                }
                self.stat(&paths[0], &mut out);
            }
            SYNC => out.bytes(paths[0].as_bytes()),
            MULTI_READ => {
                for path in &paths {
                    if let Some((code, times)) =
                        self.refuses.get_mut(&(op, paths[0].clone())).filter(|(_, times)| *times > 0)
                    {
                        *times -= 1;
                        return send(reply(xid, self.zxid, *code));
                    }
                    let code = match self.nodes.contains_key(path) {
                        false => -101,
                        true if self.closed.contains(path) => NO_AUTH,
                        true => 0,
                    };
                    out.int(if code == 0 { DATA } else { -1 });
                    out.bool(false);
                    out.int(code);
                    if code == 0 {
                        self.data(path, &mut out);
                    } else {
                        out.int(code);
                    }
                }
                out.int(-1);
                out.bool(true);
                out.int(-1);
            }
            _ => {}
        }
        send(out);
    }

    fn data(&self, path: &str, out: &mut Encoder) {
        out.bytes(&self.nodes[path].data);
        self.stat(path, out);
    }

    fn stat(&self, path: &str, out: &mut Encoder) {
        let node = &self.nodes[path];
        let children = i32::try_from(self.children(path).len()).unwrap();
        for zxid in [node.created, node.changed, 0, 0] {
            out.long(zxid);
        }
        for version in [0, node.list_changes, 0] {
            out.int(version);
        }
        out.long(0);
        out.int(i32::try_from(node.data.len()).unwrap());
        out.int(self.claimed_children.get(path).copied().unwrap_or(children));
        out.long(node.children_changed);
    }
}
