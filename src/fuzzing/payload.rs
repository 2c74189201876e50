//! Any nodes in every format: each is decoded or refused, and no text of a member can end a line.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::registry_event::{Members, NodeContent, NodeKind, Reading};
use crate::payload::{Custom, DecodedChildren, DecodedNode, FieldPath, Format, Payload, decode, mask_credentials};
use serde_json::Value;

use super::nodes::{is_breaking, nodes};

/// Every format, including a custom one.
fn formats() -> Vec<Format> {
    let path = |text: &str| FieldPath::parse(text).ok();
    let custom = Custom { host: path("host"), port: path("port"), weight: path("a.0"), ..Custom::default() };
    let named = Payload::NAMES.iter().filter_map(|name| Payload::parse(name)?.format);
    named.chain([Format::Custom(Arc::new(custom))]).collect()
}

/// Whatever these bytes contain, every format decodes them or reports a reason.
///
/// # Panics
/// If that does not hold.
pub fn any(bytes: &[u8]) {
    let nodes = nodes(bytes);
    for format in formats() {
        for (name, data) in &nodes {
            reads_or_refuses(&format, name, data);
        }
    }
    reads_alike(nodes);
}

fn reads_or_refuses(format: &Format, name: &str, data: &[u8]) {
    let reading: Reading = Ok(NodeContent::ephemeral(data));
    match decode(format, name, &reading) {
        Ok(DecodedNode::Member(member)) => {
            let fields = member.fields();
            let texts = [Some(&fields.name), fields.host.as_ref(), fields.id.as_ref(), fields.status.as_ref()];
            assert!(texts.into_iter().flatten().all(|text| is_plain_text(text)), "{fields:?}");
            assert!(fields.data.iter().all(|(key, value)| is_plain_text(key) && is_plain(value)), "{fields:?}");
            assert!(fields.weight.is_none_or(f64::is_finite), "{fields:?}");
            // In these two formats the name is the member, whatever it contains. In the others the host must be valid, and
            // only an identifier need not be one.
            let is_free = match format {
                Format::Nextdoor | Format::HostPort => true,
                Format::Lock | Format::Party | Format::ShallowParty => fields.host.is_none(),
                _ => false,
            };
            assert!(is_free || fields.host.as_deref().is_some_and(is_host), "{format}: {fields:?}");
        }
        Ok(DecodedNode::Vector(_) | DecodedNode::Other | DecodedNode::NotAMember(_)) => {}
        Err(why) => assert!(is_plain_text(&why.to_string()), "{why}"),
    }
}

/// Decoding the nodes one by one or together gives the same result.
fn reads_alike(nodes: Vec<(String, Vec<u8>)>) {
    let mut children = DecodedChildren::read(&Payload::default(), None, &Members::new(), None);
    let mut all = Members::new();
    for (name, data) in nodes {
        _ = mask_credentials(&name);
        let (name, reading): (Arc<str>, Reading) = (Arc::from(name), Ok(node(data)));
        children.put(&name, &reading);
        all.insert(name, reading);
    }
    let again = DecodedChildren::read(&Payload::default(), children.chosen(), &all, None);
    assert_eq!(again.members(), children.members());
    assert_eq!(again.quarantined(), children.quarantined());
    assert_eq!(again.not_members(), children.not_members());
    for name in all.keys() {
        children.remove(name);
    }
    assert!(children.members().is_empty() && children.quarantined().is_empty() && children.not_members().is_empty());
}

/// A node of a kind that its data gives.
fn node(data: Vec<u8>) -> NodeContent {
    let kind = [NodeKind::Ephemeral, NodeKind::Persistent, NodeKind::Parent][data.len() % 3];
    NodeContent { data: data.into(), kind }
}

fn is_plain_text(text: &str) -> bool {
    !text.chars().any(is_breaking)
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(text) => is_plain_text(text),
        Value::Array(list) => list.iter().all(is_plain),
        Value::Object(map) => map.iter().all(|(key, value)| is_plain_text(key) && is_plain(value)),
        _ => true,
    }
}

fn is_host(host: &str) -> bool {
    let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    host.parse::<IpAddr>().is_ok() || !host.is_empty() && is_name(host)
}
