//! Views that are stored: in the file of `get --save`, and on the control socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::node_path::Subject;
use super::registry_event::{Members, NodeContent, NodeKind, Reading, Seen, View};

#[cfg(test)]
mod tests;

/// The version of the file format.
const VERSION: u32 = 1;

/// The views of paths, by registry: a file of `get --save`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedViews {
    version: u32,
    registries: BTreeMap<String, SavedRegistry>,
}

/// The views of one registry, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SavedRegistry {
    /// Of rosters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rosters: BTreeMap<String, SavedView>,
    /// Of `[[key]]`s.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    keys: BTreeMap<String, SavedView>,
}

/// A stored view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavedView {
    /// The node does not exist.
    Absent,
    /// The node cannot be read, for this reason.
    Unreadable(String),
    /// The nodes of a path by name.
    Nodes(BTreeMap<String, SavedNode>),
    /// The keys of a path with `*`.
    Keys(BTreeMap<String, SavedView>),
    /// The data of one node.
    Node(SavedNode),
}

/// A stored node. Without any field it is an ephemeral node without data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SavedNode {
    /// Its data, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Its data, if it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    #[serde(skip_serializing_if = "NodeKind::is_ephemeral")]
    kind: NodeKind,
}

impl Default for SavedViews {
    /// Without any view.
    fn default() -> Self {
        Self { version: VERSION, registries: BTreeMap::new() }
    }
}

impl SavedViews {
    /// Parses a file.
    ///
    /// # Errors
    /// The text is not such a file, or was written by a newer version.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let views: Self = serde_json::from_slice(bytes).map_err(|why| why.to_string())?;
        if views.version != VERSION {
            return Err(format!("its version is {}, not {VERSION}", views.version));
        }
        for registry in views.registries.values() {
            for (path, view) in registry.rosters.iter().chain(&registry.keys) {
                view.check().map_err(|why| format!("{path}: {why}"))?;
            }
        }
        Ok(views)
    }

    /// The text of the file. The same views have the same text.
    pub fn to_text(&self) -> String {
        // Strings and maps with string keys can always be written as JSON.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Adds or replaces the view of a subject.
    pub fn insert(&mut self, registry: &str, subject: &Subject, view: &View) {
        let registry = self.registries.entry(registry.to_owned()).or_default();
        let views = if subject.is_roster() { &mut registry.rosters } else { &mut registry.keys };
        views.insert(subject.to_string(), SavedView::new(view));
    }

    /// The view of a subject; `None` if it was not saved. A single registry in the file is used for any name.
    pub fn view(&self, registry: &str, subject: &Subject) -> Option<View> {
        let single = || self.registries.values().next().filter(|_| self.registries.len() == 1);
        let registry = self.registries.get(registry).or_else(single)?;
        let views = if subject.is_roster() { &registry.rosters } else { &registry.keys };
        views.get(&subject.to_string())?.view(subject).ok()
    }
}

impl SavedView {
    /// Stores a view.
    pub fn new(view: &View) -> Self {
        match view {
            View::Members(seen) => Self::of_members(seen),
            View::Keyed(seen) => Self::from_seen(seen, |keys| {
                Self::Keys(keys.iter().map(|(key, seen)| (key.to_string(), Self::of_members(seen))).collect())
            }),
            View::Node(seen) | View::Mapped { data: seen, .. } => {
                Self::from_seen(seen, |data| Self::Node(SavedNode::new(&Ok(NodeContent::ephemeral(Arc::clone(data))))))
            }
        }
    }

    fn of_members(seen: &Seen<Members>) -> Self {
        let node = |(name, reading): (&Arc<str>, &Reading)| (name.to_string(), SavedNode::new(reading));
        Self::from_seen(seen, |members| Self::Nodes(members.iter().map(node).collect()))
    }

    fn from_seen<T>(seen: &Seen<T>, present: impl FnOnce(&T) -> Self) -> Self {
        match seen {
            Seen::Absent => Self::Absent,
            Seen::Unreadable(why) => Self::Unreadable(why.to_string()),
            Seen::Present(content) => present(content),
        }
    }

    /// The view of a subject.
    ///
    /// # Errors
    /// The stored view is of another kind of subject, or damaged.
    pub fn view(&self, subject: &Subject) -> Result<View, String> {
        let kind = || format!("the view of {subject} is of another kind");
        let seen = match self {
            Self::Absent => Seen::Absent,
            Self::Unreadable(why) => Seen::Unreadable(Arc::from(why.as_str())),
            present => Seen::Present(present),
        };
        Ok(match (subject, seen) {
            (Subject::Members(_), _) => View::Members(self.members()?),
            (Subject::Keyed { .. }, Seen::Present(Self::Keys(keys))) => {
                let key = |(key, view): (&String, &Self)| Ok((Arc::from(key.as_str()), view.members()?));
                View::Keyed(Seen::Present(keys.iter().map(key).collect::<Result<_, String>>()?))
            }
            (Subject::Node(_) | Subject::Mapped { .. }, Seen::Present(Self::Node(node))) => {
                let data = node.reading()?.map_or_else(Seen::Unreadable, |content| Seen::Present(content.data));
                View::of_node(subject, data)
            }
            (_, Seen::Present(_)) => return Err(kind()),
            (Subject::Keyed { .. }, Seen::Absent) => View::Keyed(Seen::Absent),
            (Subject::Node(_) | Subject::Mapped { .. }, Seen::Absent) => View::of_node(subject, Seen::Absent),
            (_, Seen::Unreadable(why)) => View::unreadable(subject, why),
        })
    }

    fn members(&self) -> Result<Seen<Members>, String> {
        match self {
            Self::Absent => Ok(Seen::Absent),
            Self::Unreadable(why) => Ok(Seen::Unreadable(Arc::from(why.as_str()))),
            Self::Nodes(nodes) => {
                let node = |(name, node): (&String, &SavedNode)| Ok((Arc::from(name.as_str()), node.reading()?));
                Ok(Seen::Present(nodes.iter().map(node).collect::<Result<_, String>>()?))
            }
            Self::Keys(_) | Self::Node(_) => Err("the view is of another kind".to_owned()),
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Absent | Self::Unreadable(_) => Ok(()),
            Self::Nodes(_) => self.members().map(drop),
            Self::Keys(keys) => keys.values().try_for_each(|view| view.members().map(drop)),
            Self::Node(node) => node.reading().map(drop),
        }
    }
}

impl SavedNode {
    /// Stores a node.
    fn new(reading: &Reading) -> Self {
        match reading {
            Err(why) => Self { unreadable: Some(why.to_string()), ..Self::default() },
            Ok(NodeContent { data, kind }) if data.is_empty() => Self { kind: *kind, ..Self::default() },
            Ok(NodeContent { data, kind }) => match std::str::from_utf8(data) {
                Ok(text) => Self { text: Some(text.to_owned()), kind: *kind, ..Self::default() },
                Err(_) => Self { base64: Some(STANDARD.encode(data)), kind: *kind, ..Self::default() },
            },
        }
    }

    /// The node as it was read.
    fn reading(&self) -> Result<Reading, String> {
        if let Some(why) = &self.unreadable {
            return Ok(Err(Arc::from(why.as_str())));
        }
        let data = match (&self.text, &self.base64) {
            (Some(_), Some(_)) => return Err("a node has both text and base64".to_owned()),
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).map_err(|why| format!("base64: {why}"))?,
            (None, None) => Vec::new(),
        };
        Ok(Ok(NodeContent { data: data.into(), kind: self.kind }))
    }
}
