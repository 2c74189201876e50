//! Members that try to break out of their line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use rosterd::config::TemplateConfig;
use rosterd::decide::{RosterValue, Seated, Snapshot};
use rosterd::host::Host;
use rosterd::payload::{Format, decode};
use rosterd::render::{Globals, Library, NameKind};

use crate::{EXAMPLES, Example, Nodes, haproxy_accepts, hosts, nginx_accepts, nodes, nutcracker_accepts};

/// The members among nodes; what is quarantined is left out.
fn seats(nodes: &Nodes) -> RosterValue {
    let members = nodes.iter().filter_map(|(name, data)| decode(Format::Auto, name, &Ok(Arc::from(&**data))).ok());
    RosterValue::List(members.zip(0..).map(|(member, slot)| Seated { member: Arc::new(member), slot }).collect())
}

/// The example's template rendered in this process: thousands of times, and with node names that no folder can hold.
fn render(example: &Example, nodes: &Nodes) -> String {
    let roster: Arc<str> = example.text("roster", "name").into();
    let src = PathBuf::from(example.text("template", "src"));
    let vars = example.config.get("vars").map(|vars| serde_json::to_value(vars).unwrap().as_object().unwrap().clone());
    let globals = Globals {
        host: Host { name: "h1".into(), fqdn: "h1.example.com".into(), ip: [10, 0, 0, 9].into() },
        vars: vars.unwrap_or_default(),
        names: BTreeMap::from([(Arc::clone(&roster), NameKind::List)]),
        complete: true,
    };
    let template_dir = example.dir.join(example.text("agent", "template_dir"));
    let template = Arc::new(TemplateConfig::new("example", &src, "/nowhere"));
    let library = Library::load(&[template], &template_dir, globals).unwrap();
    let snapshot = Snapshot { rosters: BTreeMap::from([(roster, seats(nodes))]), ..Snapshot::default() };
    String::from_utf8(library.render(&src, &snapshot).unwrap()).unwrap()
}

/// Texts that mean something to one of the formats, or to a shell, or to Tera.
const NASTY: [&str; 28] = [
    "'",
    "\"",
    "\\",
    "`",
    "{{ host }}",
    "{% raw %}",
    "{#",
    "$(touch /tmp/never)",
    "${HOME}",
    "#",
    ";",
    " ",
    "}",
    "{",
    "*",
    "&",
    "|",
    "<",
    ">",
    "é",
    "\u{feff}",
    "\u{202e}",
    ": ",
    "- ",
    ", ",
    "server evil 10.0.0.9:1",
    "\\\n",
    "%0a",
];

fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![3 => prop::sample::select(&NASTY[..]).prop_map(str::to_owned), 2 => "[a-z0-9.:-]{1,6}", 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

fn nasty_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => nasty().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(json!(null)),
        1 => Just(json!([["x"], {"y": "\n"}])),
        1 => nasty().prop_map(|text| json!({"deep": [text]})),
    ]
}

fn nasty_node() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name =
        prop_oneof![nasty(), (nasty(), any::<u16>()).prop_map(|(host, port)| format!("{host}:{port}")), "[a-z]{3}:80"];
    let key = prop_oneof![
        prop::sample::select(&["weight", "ip", "hostname", "host", "port", "name", "status", "slot", "zone"][..])
            .prop_map(str::to_owned),
        nasty(),
    ];
    let data = prop_oneof![
        prop::collection::btree_map(key, nasty_value(), 0..5).prop_map(|map| serde_json::to_vec(&map).unwrap()),
        nasty().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    (name, data)
}

/// The first words of all lines: what a line is about.
fn first_words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The parts of an nginx file that are not in comments.
fn nginx_marks(text: &str) -> String {
    let bare = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    bare.flat_map(str::chars).filter(|c| "{};\"'\\$".contains(*c)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever members hold, a file keeps its lines, and no line becomes one that its author did not write.
    #[test]
    fn no_member_breaks_out_of_its_line(hostile in prop::collection::vec(nasty_node(), 1..4)) {
        let RosterValue::List(admitted) = seats(&hostile) else { unreachable!() };
        let good = |n: usize| (format!("10.0.0.{n}:80"), br#"{"ip": "10.0.0.1", "hostname": "n"}"#.to_vec());
        for name in EXAMPLES {
            let example = Example::open(name);
            let mut members: Nodes = (0..1).map(good).collect();
            members.extend(hostile.iter().cloned());
            let text = render(&example, &members);
            let clean = render(&example, &(0..=admitted.len()).map(good).collect());
            prop_assert_eq!(text.lines().count(), clean.lines().count(), "{}: {}", name, text);
            if name != "memcached" && name != "hosts" {
                let known = first_words(&clean);
                let new: Vec<_> = first_words(&text).into_iter().filter(|w| *w != "#" && !known.contains(w)).collect();
                prop_assert!(new.is_empty(), "{}: {:?} in {}", name, new, text);
            }
            match name {
                "haproxy" => for line in text.lines().filter(|line| line.trim_start().starts_with("server ")) {
                    let words = line.split_whitespace().count();
                    prop_assert!(words == 3 || (words == 5 && line.contains(" weight ")), "{}", line);
                },
                "nginx" => {
                    let marks = nginx_marks(&text).replace('"', "");
                    prop_assert_eq!(marks.trim_matches(&['{', '}'][..]).replace(';', ""), "", "{}", text);
                }
                "memcached" => prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text),
                "twemproxy" => prop_assert!(serde_norway::from_str::<Value>(&text).is_ok(), "{}", text),
                "hosts" => _ = hosts(&text),
                _ => {}
            }
        }
    }
}

#[test]
fn the_checkers_take_what_hostile_members_leave() {
    let mut members: Nodes = nodes(&[("127.0.0.1:1", "")]);
    for text in NASTY {
        // A folder's entry has no / in its name.
        let name = text.replace('/', "");
        members.push((format!("{name}:80"), serde_json::to_vec(&json!({"weight": text, "zone": text})).unwrap()));
        members.push((format!("n{name}"), text.as_bytes().to_vec()));
    }
    members.sort();
    haproxy_accepts(&Example::open("haproxy").render_nodes(&members, &Map::new()));
    nginx_accepts(&Example::open("nginx").render_nodes(&members, &Map::new()));
    nutcracker_accepts(&Example::open("twemproxy").render_nodes(&members, &Map::new()));
}
