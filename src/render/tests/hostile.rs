//! Members that try to break out of their line.

use crate::model::registry_event::NodeContent;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::config::TemplateConfig;
use crate::decide::{RosterValue, SlottedMember, Snapshot};
use crate::load::host::Host;
use crate::model::member::Member;
use crate::payload::{DecodedChildren, Format};
use crate::render::{Globals, Library, NameKind};

use crate::support::examples::{
    EXAMPLES, Example, NASTY, Nodes, WITHOUT_COMMENTS, haproxy_accepts, hosts, nginx_accepts, nutcracker_accepts,
};

/// The members that a format decodes from nodes, without quarantined ones.
pub fn seats(format: &Format, nodes: &Nodes) -> RosterValue {
    let nodes =
        nodes.iter().map(|(name, data)| (Arc::from(name.as_str()), Ok(NodeContent::ephemeral(&**data)))).collect();
    let children = DecodedChildren::read(&format.clone().into(), None, &nodes, None);
    let seated = |(member, slot): (&Arc<Member>, u32)| SlottedMember { member: Arc::clone(member), slot };
    RosterValue::List(children.members().values().zip(0..).map(seated).collect())
}

/// A template that is rendered in this process: thousands of times, and with node names that no directory can contain.
pub struct Rendered {
    roster: Arc<str>,
    src: PathBuf,
    library: Library,
}

impl Rendered {
    /// The template `src` in a directory, for members of `roster`.
    pub fn load(template_dir: &Path, src: &str, roster: &str, vars: Map<String, Value>) -> Self {
        let globals = Globals {
            host: Host { name: "h1".into(), fqdn: "h1.example.com".into(), ip: [10, 0, 0, 9].into() },
            vars,
            names: BTreeMap::from([(Arc::from(roster), NameKind::List)]),
            paths: BTreeMap::new(),
            complete: true,
        };
        let template = Arc::new(TemplateConfig::new("example", src, "/nowhere"));
        let library = Library::load(&[template], template_dir, globals).unwrap();
        Self { roster: roster.into(), src: src.into(), library }
    }

    pub fn example(example: &Example) -> Self {
        let vars =
            example.config.get("vars").map(|vars| serde_json::to_value(vars).unwrap().as_object().unwrap().clone());
        let template_dir = example.dir.join(example.text("agent", "template_dir"));
        let (src, roster) = (example.text("template", "src"), example.text("roster", "name"));
        Self::load(&template_dir, &src, &roster, vars.unwrap_or_default())
    }

    pub fn with(&self, members: RosterValue) -> String {
        let snapshot = Snapshot { rosters: BTreeMap::from([(self.roster.clone(), members)]), ..Snapshot::default() };
        String::from_utf8(self.library.render(&self.src, &snapshot, None).unwrap()).unwrap()
    }
}

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

/// The first word of each line, which shows the kind of the line.
fn first_words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The special characters of an nginx file outside comments.
fn nginx_marks(text: &str) -> String {
    let bare = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    bare.flat_map(str::chars).filter(|c| "{};\"'\\$".contains(*c)).collect()
}

proptest! {
    #![proptest_config(crate::support::random::config(300, 3_000))]

    /// Whatever members contain, a file keeps its lines, and no line is changed into another kind.
    #[test]
    fn no_member_breaks_out_of_its_line(hostile in prop::collection::vec(nasty_node(), 1..4)) {
        let read = |nodes: &Nodes| seats(&Format::Nextdoor, nodes);
        let RosterValue::List(admitted) = read(&hostile) else { unreachable!() };
        let good = |n: usize| (format!("10.0.0.{n}:80"), br#"{"ip": "10.0.0.1", "hostname": "n"}"#.to_vec());
        for name in EXAMPLES.into_iter().chain(WITHOUT_COMMENTS) {
            let example = Example::open(name);
            let mut members: Nodes = (0..1).map(good).collect();
            members.extend(hostile.iter().cloned());
            let template = Rendered::example(&example);
            let text = template.with(read(&members));
            let clean = template.with(read(&(0..=admitted.len()).map(good).collect()));
            let (lines, expected) = (text.lines().count(), clean.lines().count());
            prop_assert!(lines == expected || WITHOUT_COMMENTS.contains(&name) && lines < expected, "{}: {}", name, text);
            if name != "memcached" && name != "hosts" {
                let known = first_words(&clean);
                let new: Vec<_> = first_words(&text).into_iter().filter(|w| *w != "#" && !known.contains(w)).collect();
                prop_assert!(new.is_empty(), "{}: {:?} in {}", name, new, text);
            }
            match name {
                "haproxy" => for line in text.lines().filter(|line| line.trim_start().starts_with("server ")) {
                    let words = line.split_whitespace().count();
                    let expected = 3 + 2 * usize::from(line.contains(" weight ")) + usize::from(line.ends_with(" disabled"));
                    prop_assert_eq!(words, expected, "{}", line);
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
fn long_and_similar_names_give_valid_files() {
    let long = "x".repeat(10_000);
    let members: Nodes =
        vec![(format!("{long}:80"), vec![]), ("127.0.0.1:1".into(), json!({"zone": long}).to_string().into_bytes())];
    let render = |name: &str| Rendered::example(&Example::open(name)).with(seats(&Format::Nextdoor, &members));
    haproxy_accepts(&render("haproxy"));
    let curator = |id: &str| (id.to_owned(), br#"{"address":"127.0.0.1","port":80}"#.to_vec());
    let alike = ["a b", "a_b", "a;b", "member-0", "member-1", "member-2"].map(curator).to_vec();
    haproxy_accepts(&Rendered::example(&Example::open("haproxy")).with(seats(&Format::Curator, &alike)));
    nginx_accepts(&render("nginx"));
    nutcracker_accepts(&render("twemproxy"));
    hosts(&render("hosts"));
}
