//! Any members, through the shipped haproxy template: one line for each, and no other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use rosterd::config::TemplateConfig;
use rosterd::decide::member::is_breaking;
use rosterd::decide::{RosterValue, Seated, Snapshot};
use rosterd::host::Host;
use rosterd::payload::{Children, Payload};
use rosterd::render::{Globals, Library, NameKind};

use crate::nodes::nodes;

const SRC: &str = "haproxy.cfg.tera";

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let globals = Globals {
        host: Host { name: "h1".into(), fqdn: "h1.example.com".into(), ip: [10, 0, 0, 9].into() },
        vars: serde_json::Map::new(),
        names: BTreeMap::from([("web".into(), NameKind::List)]),
        complete: true,
    };
    // The fuzz targets are a crate of their own, in a folder of this one.
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("templates"));
    let templates = folders.find(|folder| folder.is_dir()).expect("the shipped templates");
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

/// Whatever is in these bytes, each member has its line. A first node that has a format's name says how to read the others.
pub fn any(bytes: &[u8]) {
    let nodes = nodes(bytes);
    let payload = Payload::named(&nodes[0].0);
    let nodes = nodes.into_iter().skip(usize::from(payload.is_some()));
    let nodes = nodes.map(|(name, data)| (Arc::from(name), Ok(Arc::from(data)))).collect();
    let children = Children::read(&payload.unwrap_or_default(), None, &nodes, None);
    let text = render(Some(&children));
    assert_eq!(text.split('\n').count(), *CLEAN + children.members().len(), "{text}");
    assert!(!text.contains(|c| c != '\n' && is_breaking(c)), "{text:?}");
}
