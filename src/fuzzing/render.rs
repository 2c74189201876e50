//! Any members in the shipped haproxy template and one that quotes nothing: exactly one line for each.

use crate::model::registry_event::NodeContent;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use crate::config::TemplateConfig;
use crate::decide::{RosterValue, SlottedMember, Snapshot};
use crate::load::host::Host;
use crate::model::member::Member;
use crate::payload::{DecodedChildren, Payload};
use crate::render::{Globals, Library, NameKind};

use super::nodes::{is_breaking, nodes};

/// A template that is loaded once.
struct Template {
    src: &'static Path,
    library: Library,
}

impl Template {
    fn load(folder: &str, src: &'static str) -> Self {
        let globals = Globals {
            host: Host { name: "h1".into(), fqdn: "h1.example.com".into(), ip: [10, 0, 0, 9].into() },
            vars: serde_json::Map::new(),
            names: BTreeMap::from([("web".into(), NameKind::List)]),
            paths: BTreeMap::new(),
            complete: true,
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let config = Arc::new(TemplateConfig::new("web", src, "/nowhere"));
        Self { src: Path::new(src), library: Library::load(&[config], &folder, globals).expect("it loads") }
    }

    fn render(&self, members: &BTreeMap<Arc<str>, Arc<Member>>) -> String {
        let seats = members
            .values()
            .zip(0..)
            .map(|(member, slot)| SlottedMember { member: Arc::clone(member), slot })
            .collect();
        let rosters = BTreeMap::from([("web".into(), RosterValue::List(seats))]);
        let snapshot = Snapshot { rosters, ..Snapshot::default() };
        String::from_utf8(self.library.render(self.src, &snapshot, None).expect("it renders")).expect("it is text")
    }
}

/// The shipped template, and one that quotes nothing.
static TEMPLATES: LazyLock<[Template; 2]> =
    LazyLock::new(|| [Template::load("templates", "haproxy.cfg.tera"), Template::load("fuzz", "bare.tera")]);

/// The number of line breaks in each without members.
static CLEAN: LazyLock<Vec<usize>> =
    LazyLock::new(|| TEMPLATES.iter().map(|template| line_breaks(&template.render(&BTreeMap::new()))).collect());

fn line_breaks(text: &str) -> usize {
    text.matches('\n').count()
}

/// Whatever these bytes contain, each member has one line. If the first node has a format's name, the others are
/// decoded in that format.
///
/// # Panics
/// If that does not hold.
pub fn any(bytes: &[u8]) {
    let nodes = nodes(bytes);
    let payload = Payload::parse(&nodes[0].0);
    let nodes = nodes.into_iter().skip(usize::from(payload.is_some()));
    let nodes = nodes.map(|(name, data)| (Arc::from(name), Ok(NodeContent::ephemeral(data)))).collect();
    let children = DecodedChildren::read(&payload.unwrap_or_default(), None, &nodes, None);
    for (template, clean) in TEMPLATES.iter().zip(&*CLEAN) {
        let text = template.render(children.members());
        assert_eq!(line_breaks(&text), clean + children.members().len(), "{text}");
        assert!(!text.contains(|c| c != '\n' && is_breaking(c)), "{text:?}");
    }
}
