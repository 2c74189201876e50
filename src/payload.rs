//! Node bytes → [`Member`], one file a format, pure.
//!
//! A format says how a node's name and data become a member's fields; [`Member::new`] then checks them.

use std::fmt;

use crate::decide::member::MAX_DATA;
use crate::decide::{Member, Quarantine};
use crate::sighting::Reading;

mod nextdoor;

/// How a path's nodes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Format {
    /// By the look of the nodes.
    #[default]
    Auto,
    /// `host:port` names with JSON data, as nd_service_registry and zk_watcher write them.
    Nextdoor,
    /// `host:port` names; data is not looked at.
    HostPort,
}

impl Format {
    /// Every format by the name that the configuration and `--payload` use.
    pub const ALL: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("nextdoor", Self::Nextdoor), ("hostport", Self::HostPort)];

    /// The format of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, format)| format == self).map_or("auto", |(name, _)| name))
    }
}

/// Reads one node as a member.
///
/// # Errors
/// Says why the node is left out: too large, unreadable, undecodable, or with a control character in it.
pub fn decode(format: Format, name: &str, reading: &Reading) -> Result<Member, Quarantine> {
    let bytes = reading.as_ref().map_err(|why| Quarantine::Unreadable(why.to_string()))?;
    if bytes.len() > MAX_DATA {
        return Err(Quarantine::TooLarge { bytes: bytes.len() });
    }
    let fields = match format {
        Format::Auto | Format::Nextdoor => nextdoor::decode(name, bytes),
        Format::HostPort => nextdoor::decode(name, &[]),
    };
    Member::new(fields)
}
