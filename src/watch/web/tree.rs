//! The content of a web object as a tree of nodes.
//!
//! It is a JSON object of paths, a JSON list of the members of `/`, or lines `host:port` with the members of `/`. What
//! does not have one of these forms as a whole, such as the error page of a proxy, says nothing about any member.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Bytes, Members, NodeContent, NodeKind, Seen, Unreachable, View};
use crate::watch::{MAX_SUBJECT_NODES, Node, mapped_view};

#[cfg(test)]
mod tests;

/// The most characters of an invalid text that a message shows.
const WIDTH: usize = 60;

/// The most bytes of a path.
const MAX_PATH: usize = 1024;

/// The most segments of a path: each is a node with its own path.
const MAX_DEPTH: usize = 64;

/// The nodes by path.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<NodePath, Entry>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    data: Bytes,
    children: BTreeSet<Arc<str>>,
    /// It is named in a list of members, so it is one even without a port or data.
    is_listed: bool,
}

/// A member as an object in a list: as `rosterd get --format members` prints it, or its data alone.
#[derive(Deserialize)]
struct Listed<'a> {
    name: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// A JSON object whose keys differ: the last of two equal ones must not hide the other.
struct Unique<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Unique<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = BTreeMap<String, &'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut all = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if all.contains_key(&key) {
                        return Err(M::Error::custom(format!("the key {key:?} appears twice")));
                    }
                    all.insert(key, value);
                }
                Ok(all)
            }
        }
        from.deserialize_map(Keys).map(Unique)
    }
}

impl Tree {
    /// Parses the content of an object.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(body: &[u8]) -> Result<Self, Unreachable> {
        let text = std::str::from_utf8(body).map_err(|_| "the object is not UTF-8 text".to_owned())?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let mut tree = Self::default();
        tree.ensure(&NodePath::root());
        match text.as_bytes().first() {
            None => {
                let hint = "write {} or a line with # for a list without members";
                Err(format!("the object is empty, which is not a list: {hint}"))
            }
            Some(b'{') => tree.add_paths(text),
            Some(b'[') => tree.add_value(&NodePath::root(), text),
            Some(_) => tree.add_lines(text),
        }?;
        tree.check_size()?;
        Ok(tree)
    }

    fn check_size(&self) -> Result<(), String> {
        if self.0.len() > MAX_SUBJECT_NODES {
            return Err(format!("too large: the object has more than {MAX_SUBJECT_NODES} nodes"));
        }
        Ok(())
    }

    fn add_paths(&mut self, text: &str) -> Result<(), String> {
        for (path, value) in json::<Unique<'_>>(text, "the object")?.0 {
            if path.len() > MAX_PATH || path.matches('/').count() > MAX_DEPTH {
                return Err(format!("{} is longer than {MAX_PATH} bytes or {MAX_DEPTH} segments", quoted(&path)));
            }
            let valid = NodePath::parse(&path).map_err(|why| format!("{} is not a path: {why}", quoted(&path)))?;
            self.add_value(&valid, value.get())?;
            self.check_size()?;
        }
        Ok(())
    }

    /// Adds the value of a path: a list or an object of its children, or its own data.
    fn add_value(&mut self, path: &NodePath, value: &str) -> Result<(), String> {
        let place = path.as_str();
        match value.as_bytes().first() {
            Some(b'[') => {
                self.ensure(path);
                for item in json::<Vec<&RawValue>>(value, place)? {
                    let (name, data) = listed(item.get(), place)?;
                    self.add_child(path, &name, &data)?;
                }
            }
            Some(b'{') => {
                self.ensure(path);
                for (name, item) in json::<Unique<'_>>(value, place)?.0 {
                    self.add_child(path, &name, &data(item.get()))?;
                }
            }
            _ => self.ensure(path).data = data(value).as_bytes().into(),
        }
        Ok(())
    }

    fn add_lines(&mut self, text: &str) -> Result<(), String> {
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if !is_host_port(line) {
                return Err(format!("line {} is neither JSON nor HOST:PORT: {}", number + 1, quoted(line)));
            }
            self.add_child(&NodePath::root(), line, "")?;
        }
        Ok(())
    }

    fn add_child(&mut self, path: &NodePath, name: &str, data: &str) -> Result<(), String> {
        let child = path.child(name);
        if name.contains('/') || NodePath::parse(child.as_str()).is_err() {
            return Err(format!("{} in {path} is not a valid name of a node", quoted(name)));
        }
        let entry = self.ensure(&child);
        (entry.data, entry.is_listed) = (data.as_bytes().into(), true);
        Ok(())
    }

    /// The node, created with its ancestors if it does not exist.
    fn ensure(&mut self, path: &NodePath) -> &mut Entry {
        if !path.is_root() && !self.0.contains_key(path) {
            let parent = path.as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
            let parent = NodePath::parse(parent).unwrap_or_else(|_| NodePath::root());
            self.ensure(&parent).children.insert(Arc::from(path.name()));
        }
        self.0.entry(path.clone()).or_default()
    }

    /// What a subject shows.
    pub fn view(&self, subject: &Subject) -> View {
        match subject {
            Subject::Members(path) => View::Members(self.members(path)),
            Subject::Node(path) => {
                View::Node(self.0.get(path).map_or(Seen::Absent, |node| Seen::Present(Arc::clone(&node.data))))
            }
            Subject::Mapped { .. } => mapped_view(subject),
            Subject::Keyed { base, .. } => View::Keyed(self.0.get(base).map_or(Seen::Absent, |node| {
                let keys = node.children.iter().filter(|name| subject.is_key(name));
                Seen::Present(keys.map(|key| (Arc::clone(key), self.members(&subject.members_of(key)))).collect())
            })),
        }
    }

    fn members(&self, path: &NodePath) -> Seen<Members> {
        let Some(node) = self.0.get(path) else { return Seen::Absent };
        let member = |name: &Arc<str>| Some((Arc::clone(name), Ok(self.0.get(&path.child(name))?.content())));
        Seen::Present(node.children.iter().filter_map(member).collect())
    }

    /// A node, with its descendants down to `depth`.
    pub fn read(&self, path: &NodePath, depth: usize) -> Option<Node> {
        let node = self.0.get(path)?;
        let names = node.children.iter().filter(|_| depth > 0);
        let children = names.filter_map(|name| Some((name.to_string(), self.read(&path.child(name), depth - 1)?)));
        Some(Node { reading: Ok(node.content()), children: Ok(children.collect()) })
    }
}

impl Entry {
    fn content(&self) -> NodeContent {
        let kind = match (self.children.is_empty(), self.is_listed) {
            (false, _) => NodeKind::Parent,
            // As one that a server registered itself.
            (true, true) => NodeKind::Ephemeral,
            (true, false) => NodeKind::Persistent,
        };
        NodeContent { data: Arc::clone(&self.data), kind }
    }
}

/// The name and the data of an item of a list.
fn listed(item: &str, place: &str) -> Result<(String, String), String> {
    if item.starts_with('"') {
        return Ok((data(item), String::new()));
    }
    if !item.starts_with('{') {
        return Err(format!("a member in {place} is neither a string nor an object: {}", quoted(item)));
    }
    let member: Listed<'_> = json(item, place)?;
    match (member.name, member.host, member.port) {
        (Some(name), ..) => Ok((name, member.data.map_or_else(|| item.to_owned(), |of| data(of.get())))),
        (None, Some(host), Some(port)) => Ok((format!("{host}:{port}"), item.to_owned())),
        _ => Err(format!("a member in {place} has neither a name nor a host and a port: {}", quoted(item))),
    }
}

/// The data that a JSON value stands for: a string as its text, null as none, anything else as it is written.
fn data(value: &str) -> String {
    match value {
        "null" => String::new(),
        _ => serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned()),
    }
}

fn json<'t, T: Deserialize<'t>>(text: &'t str, place: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|why| format!("{place} cannot be parsed: {why}"))
}

fn quoted(text: &str) -> String {
    let start: String = text.chars().take(WIDTH).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{start:?}{more}")
}

fn is_host_port(line: &str) -> bool {
    let Some((host, port)) = line.rsplit_once(':') else { return false };
    let is_name = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_address = address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    (is_name || is_address)
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse().is_ok_and(|port: u16| port > 0)
}
