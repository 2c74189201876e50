//! Node bytes → [`Member`], one file a format, pure.
//!
//! A format says how a node's name and data become a member's fields; [`Member::new`] then checks them. Which format
//! reads a path is the configuration's word, or [`auto`]'s, once for all of the path's nodes: [`Children`] holds both.

use std::fmt;
use std::sync::Arc;

use crate::model::member::{Fields, Member};
use crate::model::quarantine::{MAX_DATA, Quarantine};
use crate::model::registry_event::Reading;

pub mod auto;
mod children;
mod curator;
mod custom;
mod dubbo;
mod field;
mod hbase;
mod kafka;
mod masked;
mod nerve;
mod nextdoor;
mod patroni;
mod serverset;
mod solr;
#[cfg(test)]
mod tests;

pub use children::{Children, Difference};
pub use custom::{Custom, FieldPath};
pub use masked::masked;
use serverset::Statuses;
pub use serverset::Vector;

/// How the nodes of one path are read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// `host:port` names with JSON data, as nd_service_registry and zk_watcher write them.
    Nextdoor,
    /// `host:port` names; data is not looked at.
    HostPort,
    /// Airbnb's nerve: JSON in the data, or in the name.
    Nerve,
    /// Twitter's server sets: those that are ALIVE.
    Serverset,
    /// The same, whatever state they are in.
    ServersetAll,
    /// Curator's service discovery, with what Spring and Dubbo put into it.
    Curator,
    /// Dubbo's providers: a URL as the name.
    Dubbo,
    /// Kafka's brokers.
    Kafka,
    /// HBase's region servers.
    Hbase,
    /// Solr's live nodes.
    Solr,
    /// Patroni's members.
    Patroni,
    /// JSON data whose fields the configuration names.
    Custom(Arc<Custom>),
}

/// What a configuration or `--payload` says of how nodes are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Payload {
    /// By the look of the nodes.
    #[default]
    Auto,
    /// As this.
    As(Format),
}

/// Every format that has a name, by the name that the configuration and `--payload` use.
static NAMED: [(&str, Format); 11] = [
    ("nextdoor", Format::Nextdoor),
    ("hostport", Format::HostPort),
    ("nerve", Format::Nerve),
    ("serverset", Format::Serverset),
    ("serverset_all", Format::ServersetAll),
    ("curator", Format::Curator),
    ("dubbo", Format::Dubbo),
    ("kafka", Format::Kafka),
    ("hbase", Format::Hbase),
    ("solr", Format::Solr),
    ("patroni", Format::Patroni),
];

impl Payload {
    /// Every word that stands for one, `auto` first.
    pub const NAMES: [&str; 12] = [
        "auto",
        "nextdoor",
        "hostport",
        "nerve",
        "serverset",
        "serverset_all",
        "curator",
        "dubbo",
        "kafka",
        "hbase",
        "solr",
        "patroni",
    ];

    /// What this word stands for.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == "auto" {
            return Some(Self::Auto);
        }
        NAMED.iter().find(|(known, _)| *known == name).map(|(_, format)| Self::As(format.clone()))
    }
}

impl From<Format> for Payload {
    fn from(format: Format) -> Self {
        Self::As(format)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::As(format) => format.fmt(f),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, NAMED.iter().find(|(_, format)| format == self)) {
            (Self::Custom(custom), _) => custom.fmt(f),
            (_, Some((name, _))) => f.write_str(name),
            (_, None) => fmt::Debug::fmt(self, f),
        }
    }
}

/// What a node under a path is, by the path's format.
#[derive(Debug, Clone, PartialEq)]
pub enum Child {
    /// A member.
    Member(Member),
    /// No member: it says how much some of the members weigh.
    Vector(Vector),
    /// No member, and nothing wrong with it: the format puts other nodes beside members, or has it out of service.
    Other,
}

#[cfg(test)]
impl Child {
    /// The member, if it is one.
    #[must_use]
    pub fn member(self) -> Option<Member> {
        match self {
            Self::Member(member) => Some(member),
            Self::Vector(_) | Self::Other => None,
        }
    }
}

/// What a format makes of a node, before a member's fields are checked.
enum Decoded {
    Member(Fields),
    Vector(Vector),
    Other,
}

/// Reads one node.
///
/// # Errors
/// Says why the node is left out: too large, unreadable, undecodable, or with a control character in it.
pub fn decode(format: &Format, name: &str, reading: &Reading) -> Result<Child, Quarantine> {
    let bytes = reading.as_ref().map_err(|why| Quarantine::Unreadable(why.to_string()))?;
    let size = bytes.len().max(name.len());
    if size > MAX_DATA {
        return Err(Quarantine::TooLarge { bytes: size });
    }
    let decoded = match format {
        Format::Nextdoor => Decoded::Member(nextdoor::decode(name, bytes)),
        Format::HostPort => Decoded::Member(nextdoor::decode(name, &[])),
        Format::Nerve => Decoded::Member(nerve::decode(name, bytes)?),
        Format::Serverset => serverset::decode(name, bytes, Statuses::Alive)?,
        Format::ServersetAll => serverset::decode(name, bytes, Statuses::All)?,
        Format::Curator => Decoded::Member(curator::decode(name, bytes)?),
        Format::Dubbo => dubbo::decode(name)?,
        Format::Kafka => Decoded::Member(kafka::decode(name, bytes)?),
        Format::Hbase => Decoded::Member(hbase::decode(name)?),
        Format::Solr => Decoded::Member(solr::decode(name)?),
        Format::Patroni => Decoded::Member(patroni::decode(name, bytes)?),
        Format::Custom(custom) => Decoded::Member(custom.decode(name, bytes)?),
    };
    Ok(match decoded {
        Decoded::Member(fields) => Child::Member(Member::new(fields)?),
        Decoded::Vector(vector) => Child::Vector(vector),
        Decoded::Other => Child::Other,
    })
}
