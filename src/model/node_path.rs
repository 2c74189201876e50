//! Paths of nodes in a registry, and what to follow below them.
//!
//! A [`NodePath`] is a path in the tree of a registry, never one on the disk; the two types do not convert.

use std::fmt;
use std::sync::Arc;

use glob::Pattern;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// A valid absolute path of a node: `/`, or `/a/b` without empty, `.` or `..`
/// segments and without control characters (ZooKeeper Programmer's Guide, "The ZooKeeper Data Model").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePath(Arc<str>);

/// Why a text is not a path of a node.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidPath {
    /// It does not start with `/`.
    #[error("a registry path starts with /")]
    Relative,
    /// It has `//`, or ends in `/`.
    #[error("a registry path has no empty segment and no trailing /")]
    EmptySegment,
    /// A segment is `.` or `..`.
    #[error("a registry path has no . or .. segment")]
    Dots,
    /// It contains a control character.
    #[error("a registry path has no control characters")]
    Control,
    /// More than one segment contains `*`.
    #[error("only one segment of a path may contain *, as in /services/* or /services/mem*")]
    Wildcards,
    /// A segment with `*` contains `**`, or a character that is special in other globs.
    #[error("a segment with * cannot contain **, ?, [, ], {{ or }}")]
    WildcardSyntax,
}

impl NodePath {
    /// The root of the tree.
    #[must_use]
    pub fn root() -> Self {
        Self(Arc::from("/"))
    }

    /// Parses an absolute path.
    ///
    /// # Errors
    /// The rule of the data model that the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidPath> {
        if text == "/" {
            return Ok(Self::root());
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(InvalidPath::Relative);
        };
        for segment in rest.split('/') {
            match segment {
                "" => return Err(InvalidPath::EmptySegment),
                "." | ".." => return Err(InvalidPath::Dots),
                _ if segment.chars().any(char::is_control) => return Err(InvalidPath::Control),
                _ => {}
            }
        }
        Ok(Self(Arc::from(text)))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of a child. `name` must be valid, as the names in a listing of the registry are.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.is_root() { Self(Arc::from(format!("/{name}"))) } else { Self(Arc::from(format!("{}/{name}", self.0))) }
    }

    /// Whether this is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// The last segment; empty for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The segments of `other` below this path: empty for this path itself, `None` if `other` is not at or below it.
    #[must_use]
    pub fn segments_below<'a>(&self, other: &'a str) -> Option<Vec<&'a str>> {
        if self.is_root() {
            let rest = other.strip_prefix('/')?;
            return Some(rest.split('/').filter(|segment| !segment.is_empty()).collect());
        }
        let rest = other.strip_prefix(&*self.0)?;
        if rest.is_empty() {
            return Some(Vec::new());
        }
        Some(rest.strip_prefix('/')?.split('/').collect())
    }
}

impl AsRef<str> for NodePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What to follow in a registry. Rosters with the same path share one subject and one watch.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// The children of a node are members.
    Members(NodePath),
    /// `base/*/below`: each child of `base` that matches a pattern is a key, and the children of `base/KEY/below` are
    /// that key's members.
    Keyed {
        /// The node whose children are the keys.
        base: NodePath,
        /// The segment with `*`, which the names of keys match.
        pattern: Pattern,
        /// The segments between a key and its members; empty for `base/*`.
        below: Vec<Arc<str>>,
    },
    /// The data of one node.
    Node(NodePath),
    /// The data of the node that `nodemaps` below `service` names for a host, as Jones's clients follow it.
    Mapped {
        /// The node of the service.
        service: NodePath,
        /// The name of the host in `nodemaps`.
        host: Arc<str>,
    },
}

impl Subject {
    /// Parses the path of a roster. With a `*` it is keyed.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidPath> {
        let path = NodePath::parse(text)?;
        let segments: Vec<&str> = text.split('/').skip(1).collect();
        let Some(at) = segments.iter().position(|segment| segment.contains('*')) else {
            return Ok(Self::Members(path));
        };
        let (segment, below) = (segments[at], &segments[at + 1..]);
        if below.iter().any(|segment| segment.contains('*')) {
            return Err(InvalidPath::Wildcards);
        }
        if segment.contains("**") || segment.contains(['?', '[', ']', '{', '}']) {
            return Err(InvalidPath::WildcardSyntax);
        }
        let pattern = Pattern::new(segment).map_err(|_| InvalidPath::WildcardSyntax)?;
        let base = if at == 0 { NodePath::root() } else { NodePath::parse(&format!("/{}", segments[..at].join("/")))? };
        Ok(Self::Keyed { base, pattern, below: below.iter().map(|segment| Arc::from(*segment)).collect() })
    }

    /// Whether it has members, rather than the data of one node.
    #[must_use]
    pub fn is_roster(&self) -> bool {
        matches!(self, Self::Members(_) | Self::Keyed { .. })
    }

    /// Whether a child of the top node is a key.
    #[must_use]
    pub fn is_key(&self, name: &str) -> bool {
        matches!(self, Self::Keyed { pattern, .. } if pattern.matches(name))
    }

    /// The node at the top. A recursive watch on it reports every change of the subject.
    #[must_use]
    pub fn top(&self) -> &NodePath {
        match self {
            Self::Members(path) | Self::Node(path) => path,
            Self::Keyed { base, .. } => base,
            Self::Mapped { service, .. } => service,
        }
    }

    /// The node whose children are the members of `key`. A subject without keys ignores `key`.
    #[must_use]
    pub fn members_of(&self, key: &str) -> NodePath {
        match self {
            Self::Members(path) | Self::Node(path) | Self::Mapped { service: path, .. } => path.clone(),
            Self::Keyed { base, below, .. } => below.iter().fold(base.child(key), |path, segment| path.child(segment)),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members(path) | Self::Node(path) => path.fmt(f),
            Self::Keyed { pattern, .. } => self.members_of(pattern.as_str()).fmt(f),
            Self::Mapped { service, host } => write!(f, "{service}/nodemaps[{host}]"),
        }
    }
}
