//! The format of each path is chosen once, and reported.

use std::sync::Arc;

use crate::decide::{Event, Input, Outcome, RosterValue};
use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, Members, NodeContent, Seen, View};
use crate::payload::Format;

use super::harness::{Bench, names, names_by_key, plan, present, put, roster, seconds, template, web};

fn nodes(list: &[(&str, &str)]) -> Members {
    list.iter().map(|(name, data)| (Arc::from(*name), Ok(NodeContent::ephemeral(data.as_bytes())))).collect()
}

fn with_data(name: &str, data: &str) -> Change {
    Change::Put { key: None, name: Arc::from(name), reading: Ok(NodeContent::ephemeral(data.as_bytes())) }
}

/// The reports of formats and of excluded nodes.
fn said(bench: &Bench) -> Vec<String> {
    let said = bench.events.iter().filter_map(|event| match event {
        Event::FormatChosen { path, format, .. } => Some(format!("{path} as {format}")),
        Event::MemberQuarantined { path, reason, .. } => Some(format!("{path}: {reason}")),
        _ => None,
    });
    said.collect()
}

/// Kafka brokers, each on its own host.
const BROKERS: [&str; 3] = [
    r#"{"host":"k1","port":9092,"jmx_port":-1,"version":5,"endpoints":[]}"#,
    r#"{"host":"k2","port":9092,"jmx_port":-1,"version":5,"endpoints":[]}"#,
    r#"{"host":"k3","port":9092,"jmx_port":-1,"version":5,"endpoints":[]}"#,
];

#[test]
fn the_format_chosen_by_auto_stays_while_members_change() {
    let mut bench = Bench::new(plan(vec![roster("web", web())], vec![], vec![template("t", &["web"], "")]));
    bench.reset(&web(), View::Members(Seen::Present(nodes(&[("1", BROKERS[0]), ("2", BROKERS[1])]))));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["1", "2"]);
    assert_eq!(said(&bench), ["/services/web as kafka"]);

    // Nodes of another format are excluded, even if they are the majority, after the path was deleted, and after a
    // reread.
    bench.change(vec![put("h:1"), put("h:2"), put("h:3"), with_data("3", BROKERS[2])]);
    bench.pass(seconds(5));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["1", "2", "3"]);
    bench.reset(&web(), View::Members(Seen::Absent));
    bench.pass(seconds(5));
    bench.reset(&web(), present(&["h:1", "h:2"]));
    bench.pass(seconds(5));
    assert!(bench.is_idle(), "no node is a broker, so the last known-good members are kept");
    assert_eq!(said(&bench).iter().filter(|said| said.contains(" as ")).count(), 1, "{:?}", said(&bench));
    assert!(bench.holds().last().unwrap().contains("(2 quarantined)"), "{:?}", bench.holds());

    // A changed `payload` rereads the nodes. Until then the last known-good members are rendered.
    let mut config = roster("web", web());
    config.payload = Format::Nextdoor.into();
    bench.input(Input::Configured(plan(vec![config], vec![], vec![template("t", &["web"], "")])));
    assert_eq!(names(&bench.publish(Outcome::Unchanged), "web"), ["1", "2", "3"]);
    bench.pass(seconds(5));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["h:1", "h:2"]);
}

#[test]
fn each_key_has_its_own_format_which_is_reported_once() {
    let subject = Subject::parse("/services/*").unwrap();
    let mut bench = Bench::new(plan(vec![roster("all", subject.clone())], vec![], vec![template("t", &["all"], "")]));
    let key = |name: &str, list: &[(&str, &str)]| (Arc::from(name), Seen::Present(nodes(list)));
    let keys = [
        key("a", &[("h:1", "")]),
        key("b", &[("h:2", ""), ("h:3", "{\"a\":\"\\u0007\"}")]),
        key("c", &[("1", BROKERS[0]), ("x", "")]),
    ];
    bench.reset(&subject, View::Keyed(Seen::Present(keys.into())));
    let publication = bench.publish(Outcome::Replaced);
    let found = names_by_key(&publication, "all");
    let expected = [("a", "h:1"), ("b", "h:2"), ("c", "1")];
    assert_eq!(found, expected.map(|(key, name)| (key.to_owned(), vec![name.to_owned()])).into());
    let formats = bench.roster("all").formats;
    let formats: Vec<String> = formats.iter().map(|(format, paths)| format!("{format}: {paths:?}")).collect();
    assert!(formats[0].starts_with("nextdoor: ") && formats[0].contains("/services/b"), "{formats:?}");
    assert!(formats[1].starts_with("kafka: ") && formats[1].contains("/services/c"), "{formats:?}");
    assert_eq!(
        said(&bench),
        [
            "/services/a as nextdoor",
            "/services/b/h:3: \"a\" in its data contains a control character or a line break",
            "/services/c as kafka",
            "/services/c/x: its name is not a broker ID",
        ]
    );
}

#[test]
fn weights_of_a_server_set_are_saved() {
    let with_one = || plan(vec![roster("web", web())], vec![], vec![template("t", &["web"], "")]);
    let weight = |bench: &mut Bench| match &bench.publish(Outcome::Replaced).snapshot.rosters["web"] {
        RosterValue::List(slotted) => slotted[0].member.fields().weight,
        RosterValue::Map(_) => None,
    };
    let list = [
        ("member_1", r#"{"serviceEndpoint":{"host":"a","port":1},"status":"ALIVE"}"#),
        ("vector_1", r#"{"vector":[{"select":"member=member_1","weight":0.5}]}"#),
    ];
    let mut bench = Bench::new(with_one());
    bench.reset(&web(), View::Members(Seen::Present(nodes(&list))));
    assert_eq!(weight(&mut bench), Some(0.5));
    let mut next = Bench::with_saved(with_one(), bench.saved);
    next.away();
    next.pass(seconds(60));
    assert_eq!(weight(&mut next), Some(0.5));
}
