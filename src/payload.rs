//! Decodes nodes into [`Member`]s. One file a format; pure.
//!
//! A format maps the name and the data of a node to the fields of a member; [`Member::new`] validates them. The format
//! of a path comes from the configuration or is detected by [`auto`], once for all nodes of the path.
//! [`DecodedChildren`] keeps both.

use std::fmt;
use std::sync::Arc;

use crate::model::member::{Fields, Member};
use crate::model::quarantine::{MAX_DATA, Quarantine};
use crate::model::registry_event::Reading;

pub mod auto;
mod children;
mod credentials;
mod curator;
mod custom;
mod dubbo;
mod field;
mod hbase;
pub mod json;
mod kafka;
mod kazoo;
mod nerve;
mod nextdoor;
mod not_a_member;
mod patroni;
mod serverset;
mod solr;
#[cfg(test)]
mod tests;

pub use children::{DecodedChildren, Difference};
pub use credentials::mask_credentials;
pub use custom::{Custom, FieldPath};
pub use field::without_bom;
pub use not_a_member::{NotAMember, decode_child};
use serverset::Statuses;
pub use serverset::Vector;

/// The format of the nodes of one path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// `host:port` names with JSON data, as nd_service_registry and zk_watcher write them.
    Nextdoor,
    /// `host:port` names; data is ignored.
    HostPort,
    /// Airbnb's nerve: JSON in the data or in the name.
    Nerve,
    /// Twitter's server sets: ALIVE members only.
    Serverset,
    /// Server sets: members in any state.
    ServersetAll,
    /// Curator's service discovery, as Spring Cloud and Dubbo extend it.
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
    /// The contenders of kazoo's locks, in the order of their sequence.
    Lock,
    /// The members of kazoo's parties.
    Party,
    /// The members of kazoo's shallow parties: the identifier is in the name.
    ShallowParty,
    /// JSON data; the configuration names the fields.
    Custom(Arc<Custom>),
}

/// The `payload` setting of a roster, or `--payload`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payload {
    /// The format; `None` to detect it.
    pub format: Option<Format>,
    /// Whether nodes with children, and empty persistent ones without a port, are members too.
    pub every_child: bool,
}

/// The formats that have a name in the configuration and in `--payload`.
static NAMED: [(&str, Format); 14] = [
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
    ("lock", Format::Lock),
    ("party", Format::Party),
    ("shallow_party", Format::ShallowParty),
];

impl Payload {
    /// Every accepted name, `auto` first.
    pub const NAMES: [&str; 15] = [
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
        "lock",
        "party",
        "shallow_party",
    ];

    /// Parses a name; `None` if it is unknown.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name == "auto" {
            return Some(Self::default());
        }
        NAMED.iter().find(|(known, _)| *known == name).map(|(_, format)| format.clone().into())
    }

    /// Whether `every_child` makes a difference: the other formats tell by name or data what is a member.
    #[must_use]
    pub fn has_non_members(&self) -> bool {
        matches!(self.format, None | Some(Format::Nextdoor | Format::HostPort))
    }

    fn leaves_out_non_members(&self) -> bool {
        !self.every_child && self.has_non_members()
    }
}

impl From<Format> for Payload {
    fn from(format: Format) -> Self {
        Self { format: Some(format), every_child: false }
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.format.as_ref().map_or_else(|| "auto".to_owned(), Format::to_string);
        if self.every_child {
            return write!(f, "{{ format = \"{format}\", every_child = true }}");
        }
        f.write_str(&format)
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

/// A decoded node.
#[derive(Debug, Clone, PartialEq)]
pub enum DecodedNode {
    /// A member.
    Member(Member),
    /// A serverset weight vector.
    Vector(Vector),
    /// Neither: the format stores other nodes beside members, or the member is out of service.
    Other,
    /// Not a member, whatever its data is.
    NotAMember(NotAMember),
}

#[cfg(test)]
impl DecodedNode {
    /// Returns the member, if it is one.
    #[must_use]
    pub fn member(self) -> Option<Member> {
        match self {
            Self::Member(member) => Some(member),
            Self::Vector(_) | Self::Other | Self::NotAMember(_) => None,
        }
    }
}

/// A node as a format decodes it, before the fields of a member are validated.
enum Parsed {
    Member(Fields),
    Vector(Vector),
    Other,
}

/// Decodes one node.
///
/// # Errors
/// Why the node is quarantined: it is too large, unreadable or undecodable, or has a control character in it.
pub fn decode(format: &Format, name: &str, reading: &Reading) -> Result<DecodedNode, Quarantine> {
    let data = match reading {
        Ok(node) if node.data.len() > MAX_DATA => Err(Quarantine::TooLarge { bytes: node.data.len() }),
        Ok(node) => Ok(&*node.data),
        Err(why) => Err(Quarantine::Unreadable(why.to_string())),
    };
    let bytes = match data {
        _ if name.len() > MAX_DATA => return Err(Quarantine::TooLarge { bytes: name.len() }),
        Err(_) if *format == Format::Lock => &[],
        data => data?,
    };
    let decoded = match format {
        Format::Nextdoor => Parsed::Member(nextdoor::decode(name, bytes)),
        Format::HostPort => Parsed::Member(nextdoor::decode(name, &[])),
        Format::Nerve => Parsed::Member(nerve::decode(name, bytes)?),
        Format::Serverset => serverset::decode(name, bytes, Statuses::Alive)?,
        Format::ServersetAll => serverset::decode(name, bytes, Statuses::All)?,
        Format::Curator => Parsed::Member(curator::decode(name, bytes)?),
        Format::Dubbo => dubbo::decode(name)?,
        Format::Kafka => Parsed::Member(kafka::decode(name, bytes)?),
        Format::Hbase => Parsed::Member(hbase::decode(name)?),
        Format::Solr => Parsed::Member(solr::decode(name)?),
        Format::Patroni => Parsed::Member(patroni::decode(name, bytes)?),
        Format::Lock => kazoo::lock(name, bytes).map_or(Parsed::Other, Parsed::Member),
        Format::Party => kazoo::party(name, bytes)?.map_or(Parsed::Other, Parsed::Member),
        Format::ShallowParty => Parsed::Member(kazoo::shallow_party(name)),
        Format::Custom(custom) => Parsed::Member(custom.decode(name, bytes)?),
    };
    Ok(match decoded {
        Parsed::Member(fields) => DecodedNode::Member(Member::new(fields)?),
        Parsed::Vector(vector) => DecodedNode::Vector(vector),
        Parsed::Other => DecodedNode::Other,
    })
}
