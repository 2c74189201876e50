//! Where Jones keeps what: the names of services and environments, and the paths of their nodes.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::model::node_path::NodePath;

#[cfg(test)]
mod tests;

/// The parent of every service.
const SERVICES: &str = "/services";

/// The parent of what rosterd adds to Jones. It is not below [`SERVICES`], where Jones creates nodes in every child.
const RECORDS: &str = "/rosterd/jones";

/// Why a text is not a name of a service or of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidName {
    /// A name is empty, or a path begins or ends with `/` or contains `//`.
    #[error("a name is missing")]
    Empty,
    /// A name is `.` or `..`.
    #[error("a name cannot be . or ..")]
    Dots,
    /// The name of a service contains `/`.
    #[error("the name of a service contains no /")]
    Slash,
    /// `PathUtils.validatePath` of ZooKeeper refuses the character.
    #[error("ZooKeeper accepts no {0:?} in a name")]
    Character(char),
}

/// Whether ZooKeeper accepts the character in a path (`PathUtils.validatePath`). It tests UTF-16 code units, and so
/// refuses every character beyond the Basic Multilingual Plane.
fn is_accepted(c: char) -> bool {
    !(c.is_control() || ('\u{e000}'..='\u{f8ff}').contains(&c) || c >= '\u{fff0}')
}

fn check_segment(name: &str) -> Result<(), InvalidName> {
    match name {
        "" => Err(InvalidName::Empty),
        "." | ".." => Err(InvalidName::Dots),
        _ => name.chars().find(|c| !is_accepted(*c)).map_or(Ok(()), |c| Err(InvalidName::Character(c))),
    }
}

/// The name of a service: a valid child of `/services`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service(Arc<str>);

impl Service {
    /// Parses a name.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        if name.contains('/') {
            return Err(InvalidName::Slash);
        }
        check_segment(name)?;
        Ok(Self(Arc::from(name)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `/services/S`.
    pub fn path(&self) -> NodePath {
        NodePath::root().child(SERVICES.trim_start_matches('/')).child(&self.0)
    }

    /// The node that maps hosts to views.
    pub fn nodemaps(&self) -> NodePath {
        self.path().child("nodemaps")
    }

    /// The own configuration of an environment.
    pub fn conf(&self, env: &Env) -> NodePath {
        env.below(self.path().child("conf"))
    }

    /// The inherited configuration of an environment.
    pub fn view(&self, env: &Env) -> NodePath {
        env.below(self.path().child("views"))
    }

    /// The view of an environment as it was at a revision.
    pub fn pin(&self, revision: u64, env: &Env) -> NodePath {
        env.below(self.path().child("pins").child(&format!("r{revision}")))
    }

    /// The view of an environment under a canary.
    pub fn canary(&self, id: &str, env: &Env) -> NodePath {
        env.below(self.path().child("canary").child(id))
    }

    /// What rosterd records about the service. Its revisions are in `history` below.
    pub fn records(&self) -> NodePath {
        NodePath::root().child(RECORDS.trim_start_matches('/')).child(&self.0)
    }

    /// What `nodemaps` names for a host.
    ///
    /// # Errors
    /// It is not the path of a node of this service that can hold a view.
    pub fn destination(&self, path: &str) -> Result<Destination, String> {
        let path = NodePath::parse(path).map_err(|why| format!("{path:?}, which is not a valid path: {why}"))?;
        match self.path().segments_below(path.as_str()).as_deref() {
            None | Some([]) => Err(format!("{path}, which is outside of its service")),
            Some(["nodemaps", ..]) => Err(format!("{path}, which is not a view")),
            Some(segments) => Ok(Destination { kind: Kind::of(segments), path }),
        }
    }

    /// What a host without an association reads: the configuration of the root environment, not its view.
    pub fn default_destination(&self) -> Destination {
        Destination { path: self.conf(&Env::ROOT), kind: Kind::Conf(Env::ROOT) }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An environment: the names from below the root environment to it, as in `parent/child1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Env(Vec<Arc<str>>);

impl Env {
    /// The environment that all others inherit from.
    pub const ROOT: Self = Self(Vec::new());

    /// Parses the names, separated by `/`. An empty text is the root environment.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() {
            return Ok(Self::ROOT);
        }
        let mut names = Vec::new();
        for name in text.split('/') {
            check_segment(name)?;
            names.push(Arc::from(name));
        }
        Ok(Self(names))
    }

    /// The environment of these names, as in a valid path.
    fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| Arc::from(*name)).collect())
    }

    /// Whether it is the root environment.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Its last name; empty for the root environment.
    pub fn name(&self) -> &str {
        self.0.last().map_or("", |name| name)
    }

    /// The environment that it inherits from; `None` for the root environment.
    pub fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    /// The root environment, then each one down to this one.
    pub fn lineage(&self) -> impl Iterator<Item = Self> {
        (0..=self.0.len()).map(|depth| Self(self.0[..depth].to_vec()))
    }

    /// The environment of this name that inherits from it. `name` must be valid, as in a listing of the registry.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self(self.0.iter().cloned().chain([Arc::from(name)]).collect())
    }

    /// Whether it is `other`, or inherits from it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    fn below(&self, path: NodePath) -> NodePath {
        self.0.iter().fold(path, |path, name| path.child(name))
    }
}

impl fmt::Display for Env {
    /// Its names, separated by `/`; nothing for the root environment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

/// A node that a host reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its path.
    pub path: NodePath,
    /// What it is.
    pub kind: Kind,
}

/// What a node that a host reads is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The own configuration of an environment.
    Conf(Env),
    /// The view of an environment.
    View(Env),
    /// The view of an environment as it was at a revision.
    Pin(u64, Env),
    /// The view of an environment under the canary of this name.
    Canary(Arc<str>, Env),
    /// Another node of the service.
    Other,
}

impl Kind {
    /// What the node at these segments below its service is.
    fn of(segments: &[&str]) -> Self {
        let revision = |name: &str| name.strip_prefix('r')?.parse().ok();
        match segments {
            ["conf", env @ ..] => Self::Conf(Env::of(env)),
            ["views", env @ ..] => Self::View(Env::of(env)),
            ["pins", name, env @ ..] => {
                revision(name).map_or(Self::Other, |revision| Self::Pin(revision, Env::of(env)))
            }
            ["canary", id, env @ ..] => Self::Canary(Arc::from(*id), Env::of(env)),
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Kind {
    /// Its environment, and what distinguishes it from the view of that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |env: &Env| if env.is_root() { "(root)".to_owned() } else { env.to_string() };
        match self {
            // The configuration of the root environment is its view.
            Self::Conf(env) if !env.is_root() => write!(f, "{}, without what it inherits", name(env)),
            Self::Conf(env) | Self::View(env) => f.write_str(&name(env)),
            Self::Pin(revision, env) => write!(f, "{}, pinned to r{revision}", name(env)),
            Self::Canary(id, env) => write!(f, "{}, canary {id}", name(env)),
            Self::Other => f.write_str("none"),
        }
    }
}
