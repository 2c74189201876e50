//! A web object as a registry.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::config::{RegistryConfig, RegistryUrl};

use super::Tree;
use super::suite::suite;

/// A server of one object, on a thread that ends with the process. The object has the data of each node by its path.
struct WebTree {
    nodes: Arc<Mutex<BTreeMap<String, String>>>,
    url: String,
}

impl WebTree {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ensemble.json", listener.local_addr().unwrap());
        let tree = Self { nodes: Arc::default(), url };
        let nodes = Arc::clone(&tree.nodes);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // A request fits into one packet.
                let _ = stream.read(&mut [0; 4096]);
                let body = serde_json::to_string(&*nodes.lock().unwrap()).unwrap();
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        tree
    }
}

impl Tree for WebTree {
    fn config(&self) -> RegistryConfig {
        let interval = Duration::from_millis(20);
        RegistryConfig { interval, ..super::config(RegistryUrl::Web(self.url.clone())) }
    }

    fn put(&self, path: &str, data: &str) {
        self.nodes.lock().unwrap().insert(path.to_owned(), data.to_owned());
    }

    fn create_parent(&self, path: &str) {
        self.nodes.lock().unwrap().entry(path.to_owned()).or_default();
    }

    fn remove(&self, path: &str) {
        let below = format!("{path}/");
        // A node stays although its last child is removed.
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let mut nodes = self.nodes.lock().unwrap();
        nodes.retain(|node, _| node != path && !node.starts_with(&below));
        if !parent.is_empty() {
            nodes.entry(parent.to_owned()).or_default();
        }
    }
}

suite!(WebTree::new());
