//! Names in a registry: a path to a node, and what to follow under it.
//!
//! A [`NodePath`] is a place in the registry's tree and never a place on this host's disk; the two do not convert.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

#[cfg(test)]
mod tests;

/// A checked absolute path of a node, as ZooKeeper's data model allows it: `/`, or `/a/b` without empty, `.` or `..`
/// segments and without control characters (ZooKeeper Programmer's Guide, "The ZooKeeper Data Model").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePath(Arc<str>);

/// Why a text is no path of a node.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadPath {
    /// It does not begin with `/`.
    #[error("a path in the registry begins with /")]
    Relative,
    /// It has `//`, or ends in `/`.
    #[error("a path in the registry has no empty segment, and no / at its end")]
    EmptySegment,
    /// A segment is `.` or `..`.
    #[error("a path in the registry has no . or .. segment")]
    Dots,
    /// It has a character that no node name may have.
    #[error("a path in the registry has no control characters")]
    Control,
    /// More than one segment is `*`, or `*` is mixed with other characters, or it is the first segment's parent.
    #[error("only one whole segment of a path may be *, as in /services/*")]
    Wildcard,
}

impl NodePath {
    /// The root of the tree.
    #[must_use]
    pub fn root() -> Self {
        Self(Arc::from("/"))
    }

    /// Checks a text as an absolute path.
    ///
    /// # Errors
    /// Says which rule of the data model the text breaks.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        if text == "/" {
            return Ok(Self::root());
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(BadPath::Relative);
        };
        for segment in rest.split('/') {
            match segment {
                "" => return Err(BadPath::EmptySegment),
                "." | ".." => return Err(BadPath::Dots),
                _ if segment.chars().any(char::is_control) => return Err(BadPath::Control),
                _ => {}
            }
        }
        Ok(Self(Arc::from(text)))
    }

    /// The path as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of a child. `name` comes from a listing of the registry, which holds only valid names.
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

    /// The segments of `other` below this path: none when it is this path, `None` when it is not at or under it.
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

/// What to follow in a registry. Two rosters on one path are one subject, and cost one watch.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// The children of a node are members.
    Members(NodePath),
    /// `base/*/below`: each child of `base` is a key, and the children of `base/KEY/below` are that key's members.
    Keyed {
        /// The node whose children are the keys.
        base: NodePath,
        /// The segments between a key and its members; empty for `base/*`.
        below: Vec<Arc<str>>,
    },
    /// One node's own data.
    Node(NodePath),
}

impl Subject {
    /// Reads a roster's path: with one `*` segment it is keyed.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn roster(text: &str) -> Result<Self, BadPath> {
        let path = NodePath::parse(text)?;
        let segments: Vec<&str> = text.split('/').skip(1).collect();
        let Some(star) = segments.iter().position(|segment| *segment == "*") else {
            if text.contains('*') {
                return Err(BadPath::Wildcard);
            }
            return Ok(Self::Members(path));
        };
        if text.matches('*').count() > 1 {
            return Err(BadPath::Wildcard);
        }
        let base =
            if star == 0 { NodePath::root() } else { NodePath::parse(&format!("/{}", segments[..star].join("/")))? };
        let below = segments[star + 1..].iter().map(|segment| Arc::from(*segment)).collect();
        Ok(Self::Keyed { base, below })
    }

    /// The node at the top of what is followed: a recursive watch on it sees everything.
    #[must_use]
    pub fn top(&self) -> &NodePath {
        match self {
            Self::Members(path) | Self::Node(path) => path,
            Self::Keyed { base, .. } => base,
        }
    }

    /// The node that holds the members of `key`, for a keyed subject.
    #[must_use]
    pub fn members_of(&self, key: &str) -> NodePath {
        match self {
            Self::Members(path) | Self::Node(path) => path.clone(),
            Self::Keyed { base, below } => below.iter().fold(base.child(key), |path, segment| path.child(segment)),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members(path) | Self::Node(path) => path.fmt(f),
            Self::Keyed { .. } => self.members_of("*").fmt(f),
        }
    }
}
