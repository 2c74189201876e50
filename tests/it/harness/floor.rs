//! The minimum cost of keeping files in sync with ZooKeeper: a bare program that does nothing else. It uses one
//! blocking connection, waits for an event, reads the node of the event, and writes prepared bytes with the syncs that
//! a durable replacement needs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::stat::{Mode, fchmod};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Gid, Uid, fchown};

/// The session timeout. After a third of it without events a ping is due.
const SESSION: Duration = Duration::from_secs(30);

// Constants of `ZooDefs.java` and `Watcher.java`.
const GET_DATA: i32 = 4;
const GET_CHILDREN: i32 = 8;
const PING: i32 = 11;
const MULTI_READ: i32 = 22;
const ADD_WATCH: i32 = 106;
const RECURSIVE: i32 = 1;
const OF_A_PING: i32 = -2;
const OF_AN_EVENT: i32 = -1;
const NO_NODE: i32 = -101;

/// How long a TCP connection and a session take.
pub fn handshake(server: &str) -> Duration {
    let began = std::time::Instant::now();
    Bare::connect(server);
    began.elapsed()
}

/// One connection to a ZooKeeper server, with the necessary part of its protocol.
struct Bare {
    stream: TcpStream,
    xid: i32,
}

impl Bare {
    fn connect(server: &str) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut bare = Self { stream, xid: 0 };
        let timeout = i32::try_from(SESSION.as_millis()).unwrap();
        let hello = [&[0; 12][..], &timeout.to_be_bytes(), &[0; 8], &text(&[0; 16]), &[0]].concat();
        bare.send(&hello);
        bare.frame().unwrap();
        bare.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        bare
    }

    fn send(&mut self, body: &[u8]) {
        self.stream.write_all(&text(body)).unwrap();
    }

    /// The next frame; `None` if none begins in time.
    fn frame(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
            read => read.unwrap(),
        }
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut frame).unwrap();
        Some(frame)
    }

    /// Sends a request, and returns the error code and the rest of the reply. Events that arrive meanwhile are ignored.
    fn ask(&mut self, kind: i32, path: &str, more: &[u8]) -> (i32, Vec<u8>) {
        self.xid += 1;
        let xid = self.xid;
        self.send(&[&xid.to_be_bytes()[..], &kind.to_be_bytes(), &text(path.as_bytes()), more].concat());
        loop {
            if let Some(frame) = self.frame()
                && int(&frame, 0) == xid
            {
                return (int(&frame, 12), frame[16..].to_vec());
            }
        }
    }

    fn watch(&mut self, path: &str) {
        assert_eq!(self.ask(ADD_WATCH, path, &RECURSIVE.to_be_bytes()).0, 0);
    }

    /// The path of the next event, if one arrives in time. Otherwise sends a ping.
    fn event(&mut self) -> Option<String> {
        let Some(frame) = self.frame() else {
            self.send(&[OF_A_PING.to_be_bytes(), PING.to_be_bytes()].concat());
            return None;
        };
        // The header is followed by the event's type, the session's state, and the length and bytes of the path.
        (int(&frame, 0) == OF_AN_EVENT).then(|| String::from_utf8(frame[28..].to_vec()).unwrap())
    }

    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        match self.ask(GET_DATA, path, &[0]) {
            (0, data) => Some(data),
            (NO_NODE, _) => None,
            (error, _) => panic!("read {path}: {error}"),
        }
    }

    fn children(&mut self, path: &str) -> Vec<String> {
        let (error, answer) = self.ask(GET_CHILDREN, path, &[0]);
        assert_eq!(error, 0);
        let mut at = 4;
        let names = (0..int(&answer, 0)).map(|_| {
            let from = at + 4;
            at = from + usize::try_from(int(&answer, at)).unwrap();
            String::from_utf8(answer[from..at].to_vec()).unwrap()
        });
        names.collect()
    }

    /// Reads many nodes at once. Returns the length of the reply.
    fn read_all(&mut self, paths: &[String]) -> usize {
        let one = |path: &String| [&header(GET_DATA, false)[..], &text(path.as_bytes()), &[0]].concat();
        let body = [paths.iter().flat_map(one).collect(), header(-1, true)].concat();
        self.xid += 1;
        self.send(&[&self.xid.to_be_bytes()[..], &MULTI_READ.to_be_bytes(), &body].concat());
        loop {
            if let Some(frame) = self.frame()
                && int(&frame, 0) == self.xid
            {
                return frame.len();
            }
        }
    }
}

/// The header of each operation in a multi-read.
fn header(kind: i32, is_last: bool) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &[u8::from(is_last)], &(-1_i32).to_be_bytes()].concat()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn int(frame: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(frame[at..at + 4].try_into().unwrap())
}

/// Replaces files of one directory durably with the fewest syncs: one for each file, and one for the directory.
pub fn replace(folder: &Path, names: &[String], bytes: &[u8]) -> io::Result<()> {
    let mut fresh = Vec::with_capacity(names.len());
    for name in names {
        let path = folder.join(format!(".{name}.tmp"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(bytes)?;
        fchown(&file, Some(Uid::effective()), Some(Gid::effective()))?;
        fchmod(&file, Mode::from_bits_truncate(0o644))?;
        fresh.push((path, file));
    }
    if fresh.len() > 1 {
        for (_, file) in &fresh {
            posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        }
    }
    for (_, file) in &fresh {
        file.sync_all()?;
    }
    for ((path, _), name) in fresh.iter().zip(names) {
        fs::rename(path, folder.join(name))?;
    }
    File::open(folder)?.sync_all()
}

/// Connects, lists `top`, reads all its nodes, a thousand at a time, and replaces one file by these bytes.
pub fn first_read(server: &str, top: &str, bytes: &[u8], folder: &Path, name: &str) {
    let mut bare = Bare::connect(server);
    bare.watch(top);
    let paths: Vec<String> = bare.children(top).iter().map(|name| format!("{top}/{name}")).collect();
    for paths in paths.chunks(1000) {
        assert!(bare.read_all(paths) > 0);
    }
    replace(folder, &[name.to_owned()], bytes).unwrap();
}

/// The bare program in a thread, until it is stopped.
pub struct Floor {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Floor {
    /// Watches `top`. After an event it replaces `names` in `folder`: by the first bytes if the node of the event
    /// exists with the data `first`, otherwise by the second.
    pub fn start(
        server: &str,
        top: &str,
        first: &[u8],
        bytes: [Vec<u8>; 2],
        folder: PathBuf,
        names: Vec<String>,
    ) -> Self {
        let mut bare = Bare::connect(server);
        bare.watch(top);
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, first) = (Arc::clone(&stop), text(first));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Some(path) = bare.event() else { continue };
                let is_first = bare.read(&path).is_some_and(|data| data.starts_with(&first));
                replace(&folder, &names, &bytes[usize::from(!is_first)]).unwrap();
            }
            Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap())
        });
        Self { stop, thread }
    }

    /// Stops it. Returns the CPU time that it has used.
    pub fn stop(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
