//! What holds for every format.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::decide::member::is_breaking;

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
        assert_eq!(Payload::named(name).map(|payload| payload.to_string()).as_deref(), Some(name));
    }
    assert_eq!(Payload::NAMES.len(), NAMED.len() + 1);
    assert_eq!(Payload::named("custom"), None);
}

#[test]
fn each_sample_is_read() {
    for (format, nodes) in samples() {
        for (name, data) in nodes {
            let child = decode(&format, name, &Ok(Arc::from(data.as_bytes()))).unwrap();
            let is_vector = matches!(child, Child::Vector(_));
            assert_eq!(is_vector, name.starts_with("vector"), "{name}");
            if let Some(member) = child.member() {
                assert!(member.address().is_some() && member.fields().port.is_some(), "{name}");
            }
        }
    }
}

#[test]
fn no_member_is_over_its_size_by_its_name_or_its_data() {
    for format in every_format() {
        let long = "a".repeat(MAX_DATA + 1);
        let size = Err(Quarantine::TooLarge { bytes: MAX_DATA + 1 });
        assert_eq!(decode(&format, &long, &Ok(Arc::from(&b""[..]))), size);
        assert_eq!(decode(&format, "a", &Ok(Arc::from(long.as_bytes()))), size);
    }
}

/// Samples with pieces of them cut out, put in elsewhere, or changed: nearly right.
fn mutated() -> impl Strategy<Value = (String, Vec<u8>)> {
    let all: Vec<(&str, &str)> = samples().into_iter().flat_map(|(_, nodes)| nodes).collect();
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::sample::select(
            &["\n", "\\n", "\\u2028", "\u{2028}", "\"", "{", "[", ":", "%0a", "%", "_", "\\ud800", "1e999"][..]
        )
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    let edit = |text: Vec<u8>, at: usize, cut: usize, piece: &[u8]| {
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        [&text[..at], piece, &text[end..]].concat()
    };
    (prop::sample::select(all), any::<(u8, u8, u8, u8)>(), piece.clone(), piece).prop_map(
        move |((name, data), (a, b, c, d), one, two)| {
            let name = edit(name.into(), usize::from(a) % 64, usize::from(b) % 3, &one);
            let data = edit(data.into(), usize::from(c), usize::from(d) % 3, &two);
            (String::from_utf8_lossy(&name).into_owned(), data)
        },
    )
}

/// Every text in a value, keys too.
fn gather(key: &str, value: &serde_json::Value, texts: &mut Vec<String>) {
    texts.push(key.to_owned());
    match value {
        serde_json::Value::String(text) => texts.push(text.clone()),
        serde_json::Value::Array(list) => list.iter().for_each(|value| gather("", value, texts)),
        serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| gather(key, value, texts)),
        _ => {}
    }
}

/// Whatever a node is, each format reads it or says why not, and no text that comes of it can break a line.
fn is_safe(name: &str, data: &[u8]) {
    let reading: Reading = Ok(Arc::from(data));
    for format in every_format() {
        match decode(&format, name, &reading) {
            Ok(Child::Member(member)) => {
                let fields = member.fields();
                let mut texts = vec![fields.name.clone()];
                texts.extend([&fields.host, &fields.id, &fields.status].into_iter().flatten().cloned());
                fields.data.iter().for_each(|(key, value)| gather(key, value, &mut texts));
                assert!(!texts.iter().any(|text| text.chars().any(is_breaking)), "{texts:?}");
                let typed = [Format::Nextdoor, Format::HostPort];
                let host = member.fields().host.as_deref().unwrap_or_default();
                assert!(typed.contains(&format) || field::host(host).is_some(), "{format}: {host:?}");
                assert!(member.fields().weight.is_none_or(f64::is_finite));
            }
            Ok(Child::Vector(_) | Child::Other) => {}
            Err(why) => assert!(!why.to_string().chars().any(is_breaking), "{why}"),
        }
    }
    let _ = auto::look(name, &reading);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("ROSTERD_PROVE").is_some() { 200_000 } else { 3_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_are_read_or_refused(name in any::<String>(), data in prop::collection::vec(any::<u8>(), 0..200)) {
        is_safe(&name, &data);
    }

    #[test]
    fn nearly_right_nodes_are_read_or_refused((name, data) in mutated()) {
        is_safe(&name, &data);
    }

    #[test]
    fn auto_does_not_depend_on_an_order(list in prop::collection::vec(mutated(), 0..6)) {
        let read = |list: &[(String, Vec<u8>)]| {
            let mut children = Children::read(&Payload::Auto, None, &crate::sighting::Members::new(), None);
            for (name, data) in list {
                children.put(&Arc::from(name.as_str()), &Ok(Arc::from(&**data)));
            }
            children
        };
        let whole: crate::sighting::Members =
            list.iter().map(|(name, data)| (Arc::from(name.as_str()), Ok(Arc::from(&**data)))).collect();
        let chosen = auto::choose(&whole);
        let at_once = Children::read(&Payload::Auto, None, &whole, None);
        prop_assert_eq!(at_once.chosen(), chosen.as_ref());
        // One by one the first that speaks decides; with what was chosen given, both ways come to the same.
        let one_by_one = read(&list);
        let again = Children::read(&Payload::Auto, one_by_one.chosen(), &whole, None);
        prop_assert_eq!(again.members(), one_by_one.members());
        prop_assert_eq!(again.unfit(), one_by_one.unfit());
    }
}
