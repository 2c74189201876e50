//! A server that keeps a tree in memory, counts what it is asked, and misbehaves as a test wants it to.

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
pub const ADD_WATCH: i32 = 106;
const PING: i32 = 11;
const CLOSE: i32 = -11;

#[derive(Debug, Clone, Default)]
struct Node {
    data: Vec<u8>,
    created: i64,
    changed: i64,
    children_changed: i64,
}

/// What a server knows, and how it behaves.
#[derive(Default)]
pub struct State {
    nodes: BTreeMap<String, Node>,
    pub zxid: i64,
    /// What was asked but for pings: the operation and its path; how many nodes in all where it is a multi-read.
    pub asked: Vec<(i32, String)>,
    /// Operations that are never answered.
    pub mute: BTreeSet<i32>,
    /// Operations on which it hangs up.
    pub hangs_up: BTreeSet<i32>,
    /// Operations on some path that are refused with a code, each as often as it says.
    pub refuses: BTreeMap<(i32, String), (i32, usize)>,
    /// What is said of a node's number of children in place of the truth.
    pub claims: BTreeMap<String, i32>,
    /// Servers that hang up at once.
    pub down: BTreeSet<String>,
    /// How many connections there were, and on which server the last one.
    pub connections: usize,
    pub last: String,
    sessions: BTreeSet<i64>,
    last_session: i64,
    lines: Vec<Line>,
}

/// One connection.
struct Line {
    watches: BTreeSet<String>,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self { address: listener.local_addr().unwrap().to_string(), state: Arc::clone(&self.state) };
        tokio::spawn({
            let fake = fake.clone();
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
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

    /// Makes a node with all above it, or sets its data; watchers hear of it.
    pub fn put(&self, path: &str, data: &str) {
        self.state().put(path, data, true);
    }

    /// The same, and nobody hears of it.
    pub fn put_unheard(&self, path: &str, data: &str) {
        self.state().put(path, data, false);
    }

    pub fn remove(&self, path: &str) {
        self.state().remove(path, true);
    }

    pub fn remove_unheard(&self, path: &str) {
        self.state().remove(path, false);
    }

    /// Cuts every connection; what `meanwhile` does is done before anybody can be back.
    pub fn cut(&self, meanwhile: impl FnOnce(&mut State)) {
        let mut state = self.state();
        for line in state.lines.drain(..) {
            let _ = line.out.send(None);
        }
        meanwhile(&mut state);
        state.asked.clear();
    }

    /// How often each operation was asked for since `asked` was last cleared.
    pub fn count(&self, op: i32) -> usize {
        self.state().asked.iter().filter(|(asked, _)| *asked == op).count()
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
        let Some(greeting) = frame(&mut reader).await else { return };
        let line = {
            let mut state = self.state();
            let _ = out.send(Some(state.greet(&greeting)));
            state.connections += 1;
            state.last.clone_from(&self.address);
            state.lines.push(Line { watches: BTreeSet::new(), out: out.clone() });
            // Lines are told apart by their channels: their places in the list change.
            out
        };
        while let Some(request) = frame(&mut reader).await {
            let mut state = self.state();
            if !state.lines.iter().any(|other| other.out.same_channel(&line)) {
                return;
            }
            state.answer(&request, &line);
        }
    }
}

async fn frame(reader: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = reader.read_u32().await.ok()?;
    let mut body = vec![0; length as usize];
    reader.read_exact(&mut body).await.ok()?;
    Some(body)
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

impl State {
    pub fn put(&mut self, path: &str, data: &str, is_heard: bool) {
        if path != "/" && !self.nodes.contains_key(parent(path)) {
            self.put(parent(path), "", is_heard);
        }
        self.zxid += 1;
        let (zxid, is_new) = (self.zxid, !self.nodes.contains_key(path));
        let node = self.nodes.entry(path.to_owned()).or_default();
        (node.data, node.changed) = (data.as_bytes().to_vec(), zxid);
        if is_new {
            (node.created, node.children_changed) = (zxid, zxid);
            if let Some(above) = self.nodes.get_mut(parent(path)) {
                above.children_changed = zxid;
            }
        }
        if is_heard {
            self.tell(if is_new { 1 } else { 3 }, path);
        }
    }

    pub fn remove(&mut self, path: &str, is_heard: bool) {
        for child in self.children(path) {
            self.remove(&format!("{path}/{child}"), is_heard);
        }
        self.zxid += 1;
        self.nodes.remove(path);
        let zxid = self.zxid;
        if let Some(above) = self.nodes.get_mut(parent(path)) {
            above.children_changed = zxid;
        }
        if is_heard {
            self.tell(2, path);
        }
    }

    pub fn has(&self, path: &str) -> bool {
        self.nodes.contains_key(path)
    }

    /// How many sessions there were.
    pub fn sessions(&self) -> i64 {
        self.last_session
    }

    /// Every session is over.
    pub fn expire(&mut self) {
        self.sessions.clear();
    }

    fn tell(&self, kind: i32, path: &str) {
        let is_below = |top: &String| {
            top == "/" || path.strip_prefix(&**top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut out = reply(-1, -1, 0);
        out.int(kind);
        out.int(3);
        out.bytes(path.as_bytes());
        let frame = out.frame();
        for line in self.lines.iter().filter(|line| line.watches.iter().any(is_below)) {
            let _ = line.out.send(Some(frame.clone()));
        }
    }

    fn children(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let below = self.nodes.range(prefix.clone()..).take_while(|(other, _)| other.starts_with(&prefix));
        let names = below.filter_map(|(other, _)| other.strip_prefix(&prefix));
        names.filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned).collect()
    }

    fn greet(&mut self, greeting: &[u8]) -> Vec<u8> {
        let mut read = Decoder(greeting);
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

    fn answer(&mut self, request: &[u8], line: &mpsc::UnboundedSender<Option<Vec<u8>>>) {
        let mut read = Decoder(request);
        let (xid, op) = (read.int().unwrap(), read.int().unwrap());
        let say = |out: Encoder| {
            let _ = line.send(Some(out.frame()));
        };
        if op == PING {
            return say(reply(-2, self.zxid, 0));
        }
        if self.hangs_up.contains(&op) || op == CLOSE {
            self.asked.push((op, String::new()));
            let _ = line.send(None);
            return;
        }
        let mut paths = Vec::new();
        if op == MULTI_READ {
            while read.int() == Ok(DATA) {
                let _ = (read.bool(), read.int());
                paths.push(read.text().unwrap().to_owned());
                let _ = read.bool();
            }
            self.asked.push((op, paths.len().to_string()));
        } else {
            paths.push(read.text().unwrap().to_owned());
            self.asked.push((op, paths[0].clone()));
        }
        if op == ADD_WATCH
            && let Some(line) = self.lines.iter_mut().find(|other| other.out.same_channel(line))
        {
            line.watches.insert(paths[0].clone());
        }
        if self.mute.contains(&op) {
            return;
        }
        if let Some((code, times)) = self.refuses.get_mut(&(op, paths[0].clone())).filter(|(_, times)| *times > 0) {
            *times -= 1;
            return say(reply(xid, self.zxid, *code));
        }
        let is_there = self.nodes.contains_key(&paths[0]) || [MULTI_READ, ADD_WATCH, SYNC].contains(&op);
        let mut out = reply(xid, self.zxid, if is_there { 0 } else { -101 });
        match op {
            _ if !is_there => {}
            EXISTS => self.stat(&paths[0], &mut out),
            DATA => self.datum(&paths[0], &mut out),
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
                        return say(reply(xid, self.zxid, *code));
                    }
                    let is_there = self.nodes.contains_key(path);
                    out.int(if is_there { DATA } else { -1 });
                    out.bool(false);
                    out.int(if is_there { 0 } else { -101 });
                    if is_there {
                        self.datum(path, &mut out);
                    } else {
                        out.int(-101);
                    }
                }
                out.int(-1);
                out.bool(true);
                out.int(-1);
            }
            _ => {}
        }
        say(out);
    }

    fn datum(&self, path: &str, out: &mut Encoder) {
        out.bytes(&self.nodes[path].data);
        self.stat(path, out);
    }

    fn stat(&self, path: &str, out: &mut Encoder) {
        let node = &self.nodes[path];
        let children = i32::try_from(self.children(path).len()).unwrap();
        for zxid in [node.created, node.changed, 0, 0] {
            out.long(zxid);
        }
        for version in [0, 0, 0] {
            out.int(version);
        }
        out.long(0);
        out.int(i32::try_from(node.data.len()).unwrap());
        out.int(self.claims.get(path).copied().unwrap_or(children));
        out.long(node.children_changed);
    }
}
