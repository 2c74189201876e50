//! Which children of a path are not members, whatever else they are: a registry has nodes beside the members, such as the
//! `nodemaps` that Jones creates below every service, and the services themselves one level above their members.

use thiserror::Error;

use super::field::host_and_port;
use super::nextdoor::port_error;
use super::{DecodedNode, Format, Payload, decode};
use crate::model::quarantine::Quarantine;
use crate::model::registry_event::{NodeKind, Reading};

#[cfg(test)]
mod tests;

/// Why a child is not a member. It is left out, logged once, and never counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotAMember {
    /// It has children.
    #[error("it has children of its own")]
    HasChildren,
    /// Nothing tells of a server.
    #[error("it is persistent and empty, and its name has no valid port")]
    Empty,
}

/// Decodes one child of a path by a format that the payload gives or that was detected.
///
/// # Errors
/// Why the node is quarantined: see [`decode`].
pub fn decode_child(
    payload: &Payload,
    format: &Format,
    name: &str,
    reading: &Reading,
) -> Result<DecodedNode, Quarantine> {
    let Some(node) = reading.as_ref().ok().filter(|_| payload.leaves_out_non_members()) else {
        return decode(format, name, reading);
    };
    if node.kind == NodeKind::Parent {
        return Ok(DecodedNode::NotAMember(NotAMember::HasChildren));
    }
    let decoded = decode(format, name, reading);
    if let (Format::Nextdoor | Format::HostPort, Ok(DecodedNode::Member(member))) = (format, &decoded)
        && let Some(why) = port_error(member)
    {
        return Err(why);
    }
    let has_no_port = match &decoded {
        // Names of these formats hold everything, so that no data means nothing.
        _ if matches!(format, Format::Dubbo | Format::Hbase | Format::Solr) => false,
        Ok(DecodedNode::Member(member)) => member.fields().port.is_none(),
        Err(Quarantine::Undecodable(_)) => host_and_port(name).is_none(),
        _ => false,
    };
    if has_no_port && node.kind == NodeKind::Persistent && is_empty(format, &node.data) {
        return Ok(DecodedNode::NotAMember(NotAMember::Empty));
    }
    decoded
}

/// Whether data says nothing. Jones leaves `{}` where it removed the last entry.
fn is_empty(format: &Format, data: &[u8]) -> bool {
    let data = data.trim_ascii();
    let inside = data.strip_prefix(b"{").and_then(|data| data.strip_suffix(b"}"));
    let is_empty_object = inside.is_some_and(|inside| inside.trim_ascii().is_empty());
    data.is_empty() || (is_empty_object && matches!(format, Format::Nextdoor | Format::HostPort))
}
