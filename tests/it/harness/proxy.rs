//! Stands between an agent and a ZooKeeper server: counts what is asked, and passes it on.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Kinds of requests (`ZooDefs.OpCode`).
pub const MULTI_READ: i32 = 22;
pub const ADD_WATCH: i32 = 106;
const PING: i32 = 11;

/// A proxy; its threads end with the test's process.
pub struct Proxy {
    pub address: String,
    asked: Arc<Mutex<Vec<i32>>>,
}

impl Proxy {
    /// Passes everything on to `server`.
    pub fn before(server: &str) -> Self {
        Self::changing(server, |kind| kind)
    }

    /// Passes every request on to `server` as one of the kind that `change` makes of its own.
    pub fn changing(server: &str, change: fn(i32) -> i32) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (server, asked) = (server.to_owned(), Arc::<Mutex<Vec<i32>>>::default());
        thread::spawn({
            let asked = Arc::clone(&asked);
            move || {
                for client in listener.incoming() {
                    let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                    let (mut back_from, mut back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut back_from, &mut back_to);
                        let _ = back_to.shutdown(Shutdown::Both);
                    });
                    let asked = Arc::clone(&asked);
                    thread::spawn(move || pass(client, server, change, &asked));
                }
            }
        });
        Self { address, asked }
    }

    /// The kinds of what was asked since this was last called, but for pings.
    pub fn take_asked(&self) -> Vec<i32> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn pass(mut client: TcpStream, mut server: TcpStream, change: fn(i32) -> i32, asked: &Mutex<Vec<i32>>) {
    // The first is the session's beginning, and has no kind.
    let mut is_first = true;
    while let Ok(mut frame) = frame(&mut client) {
        if !std::mem::take(&mut is_first) {
            // After the length and the number of the request comes its kind.
            let kind = change(i32::from_be_bytes(frame[8..12].try_into().unwrap()));
            frame[8..12].copy_from_slice(&kind.to_be_bytes());
            if kind != PING {
                asked.lock().unwrap().push(kind);
            }
        }
        if server.write_all(&frame).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

/// One request with its length.
fn frame(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame)?;
    let length = u32::from_be_bytes(frame[..4].try_into().unwrap());
    // Not what a four-letter word would make of it.
    if length > 1 << 24 {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    frame.resize(4 + usize::try_from(length).unwrap(), 0);
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}
