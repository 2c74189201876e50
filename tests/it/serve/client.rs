//! A client that sends what it is told to, valid or not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::wait::PATIENCE;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 0 if the connection was closed without one.
    pub status: u16,
    pub head: String,
    pub body: String,
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends these bytes, and reads until the connection is closed.
pub fn send(port: u16, bytes: &str) -> Answer {
    let mut stream = connect(port);
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes.as_bytes());
    finish(stream)
}

/// Reads until the connection is closed.
pub fn finish(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// A request with a method, a path and further lines of its head.
pub fn request(method: &str, path: &str, head: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n")
}

pub fn get(port: u16, path: &str) -> Answer {
    send(port, &request("GET", path, ""))
}

/// The status of a request with this host.
pub fn status_of_host(port: u16, host: &str) -> u16 {
    send(port, &format!("GET /live HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).status
}

/// A stream of events.
pub struct Events {
    stream: TcpStream,
    /// What has been read.
    pub text: String,
}

impl Events {
    /// Opens one with this path and further lines of its head, and waits for its beginning.
    pub fn open(port: u16, path: &str, head: &str) -> Self {
        let mut stream = connect(port);
        stream.write_all(request("GET", path, head).as_bytes()).unwrap();
        let mut events = Self { stream, text: String::new() };
        events.until("retry: ");
        events
    }

    /// Reads until this text has arrived.
    pub fn until(&mut self, text: &str) -> &str {
        let mut bytes = [0; 4096];
        while !self.text.contains(text) {
            let count = self.stream.read(&mut bytes).unwrap_or_else(|why| panic!("{why}, no {text:?}: {}", self.text));
            assert!(count > 0, "the stream has ended without {text:?}: {}", self.text);
            self.text += std::str::from_utf8(&bytes[..count]).unwrap();
        }
        &self.text
    }

    /// Whether nothing more arrives within this time.
    pub fn is_quiet(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let quiet = self.stream.read(&mut [0; 4096]).is_err();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        quiet
    }

    /// Waits until the server closes it.
    pub fn ends(mut self) {
        self.stream.read_to_end(&mut Vec::new()).unwrap();
    }
}
