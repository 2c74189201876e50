//! Rules that hold for every format.

use std::sync::Arc;

use super::*;
use crate::model::registry_event::NodeContent;

/// Nodes as each system writes them.
pub fn samples() -> Vec<(Format, Vec<(&'static str, &'static str)>)> {
    let nerve = "base64_44_eyJob3N0IjoiMTAuMC4wLjUiLCJwb3J0Ijo4MDgxfQ==_0000000008";
    vec![
        (Format::Nextdoor, vec![("10.0.0.1:80", r#"{"pid":1,"zone":"a"}"#), ("[::1]:80", "")]),
        (Format::HostPort, vec![("10.0.0.1:80", "")]),
        (Format::Nerve, vec![("i-1_0000000007", r#"{"host":"10.0.0.5","port":8080,"name":"i-1"}"#), (nerve, "")]),
        (
            Format::Serverset,
            vec![
                ("member_0000000001", r#"{"serviceEndpoint":{"host":"s","port":1},"status":"ALIVE","shard":0}"#),
                ("vector_0000000002", r#"{"vector":[]}"#),
            ],
        ),
        (Format::Curator, vec![("4254", r#"{"name":"w","id":"4254","address":"c","port":1,"serviceType":"DYNAMIC"}"#)]),
        (Format::Dubbo, vec![("dubbo%3A%2F%2F10.0.0.1%3A20880%2Fcom.foo.Bar%3Fweight%3D50", "")]),
        (
            Format::Kafka,
            vec![("1", r#"{"endpoints":["SSL://k:9093"],"jmx_port":-1,"port":-1,"host":null,"version":5}"#)],
        ),
        (Format::Hbase, vec![("rs1,16020,1769292890155", "PBUF")]),
        (Format::Solr, vec![("10.0.0.1:8983_solr", "")]),
        (
            Format::Patroni,
            vec![
                ("pg1", r#"{"conn_url":"postgres://10.0.0.1:5432/postgres","state":"running","role":"primary"}"#),
                ("pg2", "postgres://10.0.0.2:5432/postgres?application_name=http://10.0.0.2:8008/patroni"),
            ],
        ),
        (Format::Lock, vec![("0123456789abcdef0123456789abcdef__lock__0000000001", "10.0.0.1:80")]),
        (Format::Party, vec![("0123456789abcdef0123456789abcdef__party__", "10.0.0.1:80")]),
        (Format::ShallowParty, vec![("0123456789abcdef0123456789abcdef-10.0.0.1:80", "")]),
    ]
}

fn every_format() -> Vec<Format> {
    let path = |text: &str| FieldPath::parse(text).ok();
    let custom = Custom { host: path("host"), port: path("port"), weight: path("a.0"), ..Custom::default() };
    samples().into_iter().map(|(format, _)| format).chain([Format::Custom(Arc::new(custom))]).collect()
}

#[test]
fn each_format_has_one_name() {
    for name in Payload::NAMES {
        assert_eq!(Payload::parse(name).map(|payload| payload.to_string()).as_deref(), Some(name));
    }
    assert_eq!(Payload::NAMES.len(), NAMED.len() + 1);
    assert_eq!(Payload::parse("custom"), None);
}

#[test]
fn each_sample_is_decoded() {
    for (format, nodes) in samples() {
        for (name, data) in nodes {
            let child = decode(&format, name, &Ok(NodeContent::ephemeral(data.as_bytes()))).unwrap();
            let is_vector = matches!(child, DecodedNode::Vector(_));
            assert_eq!(is_vector, name.starts_with("vector"), "{name}");
            if let Some(member) = child.member() {
                assert!(member.address().is_some() && member.fields().port.is_some(), "{name}");
            }
        }
    }
}

#[test]
fn the_size_of_a_members_name_and_data_is_limited() {
    for format in every_format() {
        let long = "a".repeat(MAX_DATA + 1);
        let size = Err(Quarantine::TooLarge { bytes: MAX_DATA + 1 });
        assert_eq!(decode(&format, &long, &Ok(NodeContent::ephemeral(&b""[..]))), size);
        // A contender without an identifier is a contender all the same.
        let size = if format == Format::Lock { Ok(DecodedNode::Other) } else { size };
        assert_eq!(decode(&format, "a", &Ok(NodeContent::ephemeral(long.as_bytes()))), size);
    }
}

/// Every typed field of every format, once as what it is and once as text.
#[test]
fn a_typed_field_may_come_as_text() {
    let path = |text: &str| FieldPath::parse(text).ok();
    let custom = Custom { host: path("h"), port: path("p"), id: path("i"), weight: path("w"), status: path("s") };
    let cases = [
        (Format::Nextdoor, "h:1", r#"{"weight":10,"status":7}"#, r#"{"weight":"10","status":"7"}"#),
        (Format::Nextdoor, "h:1", r#"{"weight":0.5}"#, r#"{"weight":" 0.5 "}"#),
        (Format::Nextdoor, "api1", r#"{"host":"a","port":80}"#, r#"{"host":"a","port":" 80"}"#),
        (
            Format::Nerve,
            "i_1",
            r#"{"host":"a","port":80,"weight":10,"name":5}"#,
            r#"{"host":"a","port":"80","weight":"10","name":"5"}"#,
        ),
        (
            Format::Serverset,
            "member_1",
            r#"{"serviceEndpoint":{"host":"a","port":80},"status":"ALIVE","shard":3}"#,
            r#"{"serviceEndpoint":{"host":"a","port":"80"},"status":"ALIVE","shard":"3"}"#,
        ),
        (
            Format::Curator,
            "x",
            r#"{"address":"a","port":80,"id":5,"enabled":false,"payload":{"metadata":{"weight":2}}}"#,
            r#"{"address":"a","port":"80","id":"5","enabled":"False","payload":{"metadata":{"weight":"2"}}}"#,
        ),
        (
            Format::Curator,
            "x",
            r#"{"address":"a","port":null,"sslPort":443,"enabled":true,"payload":{"metadata":{"instance_status":1}}}"#,
            r#"{"address":"a","port":null,"sslPort":"443","enabled":"true","payload":{"metadata":{"instance_status":"1"}}}"#,
        ),
        (Format::Kafka, "1", r#"{"host":"a","port":9092}"#, r#"{"host":"a","port":"9092"}"#),
        (
            Format::Kafka,
            "1",
            r#"{"host":"a","port":-1,"endpoints":["SSL://b:9093"]}"#,
            r#"{"host":"a","port":"-1","endpoints":["SSL://b:9093"]}"#,
        ),
        (
            Format::Patroni,
            "p",
            r#"{"conn_url":"postgres://a:5432/","state":1}"#,
            r#"{"conn_url":"postgres://a:5432/","state":"1"}"#,
        ),
        (
            Format::Custom(Arc::new(custom)),
            "x",
            r#"{"h":"a","p":80,"i":5,"w":1.5,"s":2}"#,
            r#"{"h":"a","p":"80","i":"5","w":"1.5","s":"2"}"#,
        ),
    ];
    for (format, name, typed, text) in cases {
        let fields = |data: &str| {
            let member = decode(&format, name, &Ok(NodeContent::ephemeral(data.as_bytes()))).unwrap().member().unwrap();
            Fields { data: serde_json::Map::new(), ..member.fields().clone() }
        };
        assert_eq!(fields(text), fields(typed), "{format}: {text}");
    }
    // The factor of a vector, and the member that it is for.
    let read = |vector: &str, shard: &str| {
        let member = format!(r#"{{"serviceEndpoint":{{"host":"a","port":1}},"status":"ALIVE","shard":{shard}}}"#);
        let nodes = [("member_1", member.as_str()), ("vector_1", vector)];
        let nodes = nodes.map(|(name, data)| (Arc::from(name), Ok(NodeContent::ephemeral(data.as_bytes())))).into();
        DecodedChildren::read(&Format::Serverset.into(), None, &nodes, None).members()["member_1"].fields().weight
    };
    assert_eq!(read(r#"{"vector":[{"select":"shard=3","weight":"0.5"}]}"#, "\"3\""), Some(0.5));
}
