use super::*;
use crate::model::registry_event::NodeContent;
use crate::model::registry_event::NodeKind::{Ephemeral, Parent, Persistent};

fn read(payload: &Payload, name: &str, data: &str, kind: NodeKind) -> String {
    let reading = Ok(NodeContent { data: data.as_bytes().into(), kind });
    let format = payload.format.clone().unwrap_or(Format::Nextdoor);
    match decode_child(payload, &format, name, &reading) {
        Ok(DecodedNode::Member(_)) => "member".to_owned(),
        Ok(DecodedNode::NotAMember(why)) => why.to_string(),
        Ok(DecodedNode::Vector(_) | DecodedNode::Other) => "other".to_owned(),
        Err(why) => format!("quarantined: {why}"),
    }
}

#[test]
fn a_child_is_a_member_by_its_kind_its_name_or_its_data() {
    let (parent, empty) = (NotAMember::HasChildren.to_string(), NotAMember::Empty.to_string());
    let (member, parent, empty) = ("member", parent.as_str(), empty.as_str());
    let cases = [
        // Jones's nodes, a service one level above its members, and BookKeeper's directory.
        ("nodemaps", "", Persistent, empty),
        ("nodemaps", "{}", Persistent, empty),
        ("nodemaps", " { }\n", Persistent, empty),
        ("conf", r#"{"a":1}"#, Parent, parent),
        ("web", "", Parent, parent),
        ("readonly", "", Persistent, empty),
        // With a port, data, or a session, it is a server.
        ("10.0.0.1:80", "", Persistent, member),
        ("[::1]:80", "", Persistent, member),
        ("10.0.0.1:80", "", Parent, parent),
        ("10.0.0.1", "", Persistent, empty),
        ("10.0.0.1", "", Ephemeral, member),
        ("web1", "{}", Ephemeral, member),
        ("web1", "x", Persistent, member),
        ("web1", r#"{"zone":"a"}"#, Persistent, member),
        ("web1", "\u{fffd}", Persistent, member),
        // What a name must not have is told as before.
        ("web\n1", "", Persistent, "quarantined: its name contains a control character or a line break"),
        ("web\n1:80", "", Persistent, "quarantined: its name contains a control character or a line break"),
    ];
    for payload in [Payload::default(), Format::Nextdoor.into(), Format::HostPort.into()] {
        for (name, data, kind, expected) in cases {
            assert_eq!(read(&payload, name, data, kind), expected, "{payload}: {name:?} {data:?} {kind:?}");
            let every = Payload { every_child: true, ..payload.clone() };
            let expected = if name.contains('\n') { expected } else { member };
            assert_eq!(read(&every, name, data, kind), expected, "{every}: {name:?} {data:?} {kind:?}");
        }
    }
}

#[test]
fn a_format_that_names_its_members_decides_by_itself() {
    let nerve: Payload = Format::Nerve.into();
    assert_eq!(read(&nerve, "nodemaps", "", Persistent), "quarantined: it has no data");
    assert_eq!(read(&nerve, "i_1", r#"{"host":"a","port":1}"#, Parent), "member");
    // Detected, it does not make a fault of what is no member.
    let node = |kind| Ok(NodeContent { data: Vec::new().into(), kind });
    for kind in [Persistent, Parent] {
        let read = decode_child(&Payload::default(), &Format::Nerve, "nodemaps", &node(kind));
        assert!(matches!(read, Ok(DecodedNode::NotAMember(_))), "{read:?}");
    }
    for (name, kind) in [("web1", Ephemeral), ("10.0.0.1:80", Persistent)] {
        let read = decode_child(&Payload::default(), &Format::Nerve, name, &node(kind));
        assert!(matches!(read, Err(Quarantine::Undecodable(_))), "{read:?}");
    }
    let read = decode_child(&Payload::default(), &Format::Hbase, "rs2,16020", &node(Persistent));
    assert!(matches!(read, Err(Quarantine::Undecodable(_))), "the name holds everything: {read:?}");
    let read = decode_child(&Payload::default(), &Format::Nextdoor, "closed", &Err("no permission".into()));
    assert!(matches!(read, Err(Quarantine::Unreadable(_))), "what cannot be read is unknown: {read:?}");
}

#[test]
fn only_a_name_or_a_field_that_was_to_give_a_port_and_does_not_is_quarantined() {
    let (name, port) = ("its name has no valid port", "port in its data is not a valid port");
    let cases = [
        ("10.0.0.1:0", "", Some(name)),
        ("10.0.0.1:99999", "", Some(name)),
        ("[2001:db8::1]:0", "", Some(name)),
        ("serverUri=h1:0;version=3.1.3", "", Some(name)),
        ("web1", r#"{"host":"10.0.0.1","port":"http"}"#, Some(port)),
        ("web1", r#"{"port":70000}"#, Some(port)),
        ("web1", r#"{"port":-1}"#, Some(port)),
        ("web1", r#"{"port":80.5}"#, Some(port)),
        ("web1", r#"{"port":[80]}"#, Some(port)),
        // The field says that there is no port.
        ("web1", r#"{"host":"10.0.0.1","port":null}"#, None),
        ("web1", r#"{"port":0}"#, None),
        ("web1", r#"{"port":"0"}"#, None),
        ("web1", r#"{"port":""}"#, None),
        ("web1", r#"{"port":8080.0}"#, None),
        // A host, and data that says nothing of a port.
        ("web1", "pid:123456", None),
        ("web1", "10.0.0.1:70000", None),
        ("web1", "10.0.0.1:0", None),
        ("web1", "written by hand: see the wiki", None),
        ("web1", "{'weight': 1}", None),
        ("web1", r#"{"host":"10.0.0.1" "port":80}"#, None),
        ("10.0.0.1:http", "", None),
        ("a:b:99999", "", None),
        ("2001:db8::1", "", None),
        ("2001:db8::1:0", "", None),
        ("fe80::1%eth0", "", None),
        // The name has what a server needs.
        ("10.0.0.1:80", r#"{"port":"http"}"#, None),
        ("10.0.0.1:80", "{broken}", None),
    ];
    for (node, data, why) in cases {
        let wanted = why.map_or_else(|| "member".to_owned(), |why| format!("quarantined: {why}"));
        assert_eq!(read(&Format::Nextdoor.into(), node, data, Ephemeral), wanted, "{node} {data}");
        if why.is_some() || !data.is_empty() {
            assert_eq!(read(&Format::Nextdoor.into(), node, data, Persistent), wanted, "{node} {data}");
        }
        assert_eq!(
            read(&Payload { every_child: true, ..Payload::default() }, node, data, Ephemeral),
            "member",
            "{node} {data}"
        );
    }
    // Its data is ignored.
    assert_eq!(read(&Format::HostPort.into(), "web1", r#"{"port":"http"}"#, Ephemeral), "member");
}
