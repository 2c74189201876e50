//! `rosterd jones serve`: its routes, its errors, and what it refuses.

use std::io::Write as _;

use serde_json::Value;

use super::Scene;
use crate::harness::site::Agent;
use crate::serve::client::{Answer, connect, finish};
use crate::support::zookeeper::free_port;

mod api;
mod classic;
mod editors;
mod security;
mod users;
mod wrong_input;

pub const JSON: &str = "Content-Type: application/json\r\n";
pub const ANY: &str = "Content-Type: application/json\r\nIf-Match: *\r\n";
pub const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
pub const WANTS_JSON: &str = "Accept: application/json\r\n";

/// A running server.
pub struct Serving {
    _agent: Agent,
    pub port: u16,
}

impl Scene {
    /// Starts a server with these options.
    pub fn serve(&self, args: &[&str]) -> Serving {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let agent = self.site.start_with(&[&["jones", "serve", "--listen", &listen], args].concat());
        agent.says("event=http_listening");
        Serving { _agent: agent, port }
    }

    /// The configuration with `[jones]`.
    pub fn configure_jones(&self, keys: &str) {
        self.configure("", &format!("[jones]\n{keys}"));
    }
}

impl Serving {
    /// Sends a request. `head` is further lines of its head, each with its line end.
    pub fn ask(&self, method: &str, path: &str, head: &str, body: &str) -> Answer {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let host = format!("127.0.0.1:{}", self.port);
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}{length}\r\n{body}");
        let mut stream = connect(self.port);
        // The server may answer before it has read everything.
        let _ = stream.write_all(request.as_bytes());
        finish(stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, WANTS_JSON, "")
    }

    /// A successful read of the API.
    pub fn api(&self, path: &str) -> Value {
        let answer = self.get(&format!("/api/v1/services{path}"));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// A write through the API, with these lines of its head.
    pub fn write(&self, method: &str, path: &str, head: &str, body: &Value) -> Answer {
        self.ask(method, &format!("/api/v1/services{path}"), head, &body.to_string())
    }
}
