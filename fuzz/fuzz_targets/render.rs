//! Any members, through the shipped haproxy template: one line for each, and no other.

#![no_main]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use rosterd::config::TemplateConfig;
use rosterd::decide::{RosterValue, Seated, Snapshot};
use rosterd::host::Host;
use rosterd::payload::{Children, Payload};
use rosterd::render::{Globals, Library, NameKind};

const SRC: &str = "haproxy.cfg.tera";

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let globals = Globals {
        host: Host { name: "h1".into(), fqdn: "h1.example.com".into(), ip: [10, 0, 0, 9].into() },
        vars: serde_json::Map::new(),
        names: BTreeMap::from([("web".into(), NameKind::List)]),
        complete: true,
    };
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates");
    Library::load(&[Arc::new(TemplateConfig::new("haproxy", SRC, "/nowhere"))], &templates, globals)
        .expect("the shipped template loads")
});

fn render(children: Option<&Children>) -> String {
    let members = children.into_iter().flat_map(|children| children.members().values());
    let seats = members.zip(0..).map(|(member, slot)| Seated { member: Arc::clone(member), slot }).collect();
    let rosters = BTreeMap::from([("web".into(), RosterValue::List(seats))]);
    let snapshot = Snapshot { rosters, ..Snapshot::default() };
    String::from_utf8(LIBRARY.render(Path::new(SRC), &snapshot).expect("it renders")).expect("it is text")
}

static CLEAN: LazyLock<usize> = LazyLock::new(|| render(None).split('\n').count());

fuzz_target!(|input: (u8, Vec<(String, Vec<u8>)>)| {
    let (which, nodes) = input;
    let name = Payload::NAMES[usize::from(which) % Payload::NAMES.len()];
    let payload = Payload::named(name).expect("a name");
    let nodes = nodes.into_iter().map(|(name, data)| (Arc::from(name), Ok(Arc::from(data)))).collect();
    let children = Children::read(&payload, None, &nodes, None);
    let text = render(Some(&children));
    assert_eq!(text.split('\n').count(), *CLEAN + children.members().len(), "{text}");
    assert!(!text.chars().any(|c| c != '\n' && (c.is_control() || "\u{2028}\u{2029}".contains(c))), "{text:?}");
});
