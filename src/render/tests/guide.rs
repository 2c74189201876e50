//! Every example of the template guide has the output that the guide shows.

use crate::model::registry_event::NodeContent;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::config::TemplateConfig;
use crate::decide::{RosterValue, SlottedMember, SlottedMembers, Snapshot};
use crate::load::host::Host;
use crate::payload::{Format, decode};
use crate::render::{Globals, Library, NameKind};

use crate::support::docs::{Block, blocks};

fn seats(nodes: &Map<String, Value>) -> SlottedMembers {
    let decoded = nodes.iter().map(|(name, data)| {
        let bytes: Arc<[u8]> = serde_json::to_vec(data).unwrap().into();
        Arc::new(decode(&Format::Nextdoor, name, &Ok(NodeContent::ephemeral(bytes))).unwrap().member().unwrap())
    });
    decoded.zip(0..).map(|(member, slot)| SlottedMember { member, slot }).collect()
}

/// The members that the guide shows first.
fn snapshot(shown: &str) -> Snapshot {
    let shown: Value = serde_json::from_str(shown).unwrap();
    let services = shown["services"].as_object().unwrap().iter();
    let services = services.map(|(key, nodes)| (key.as_str().into(), seats(nodes.as_object().unwrap()))).collect();
    Snapshot {
        rosters: BTreeMap::from([
            ("web".into(), RosterValue::List(seats(shown["web"].as_object().unwrap()))),
            ("services".into(), RosterValue::Map(services)),
        ]),
        keys: BTreeMap::from([("settings".into(), Arc::new(shown["settings"].clone()))]),
        ..Snapshot::default()
    }
}

fn render(text: &str, snapshot: &Snapshot) -> Result<String, String> {
    let dir = tempfile::TempDir::new().unwrap();
    fs::write(dir.path().join("t"), text).unwrap();
    let template = TemplateConfig::new("t", "t", "/nowhere");
    let globals = Globals {
        host: Host { name: "h1".into(), fqdn: "h1.example.com".into(), ip: [10, 0, 0, 9].into() },
        vars: json!({"zone": "a"}).as_object().unwrap().clone(),
        names: BTreeMap::from([
            ("web".into(), NameKind::List),
            ("services".into(), NameKind::Map),
            ("settings".into(), NameKind::Key),
        ]),
        paths: BTreeMap::new(),
        complete: true,
    };
    let library = Library::load(&[Arc::new(template)], dir.path(), globals).map_err(|e| format!("{e:?}"))?;
    let bytes = library.render(Path::new("t"), snapshot, None).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[test]
fn every_example_of_the_guide_is_correct() {
    let blocks = blocks("docs/templates.md");
    let snapshot = snapshot(&blocks[0].text);
    let examples = blocks.iter().enumerate().filter(|(_, block)| block.language == "jinja");
    let mut count = 0;
    for (at, Block { text, place, .. }) in examples {
        let out = render(text, &snapshot).unwrap_or_else(|error| panic!("{place}: {error}"));
        if let Some(expected) = blocks.get(at + 1).filter(|block| block.language == "text") {
            assert_eq!(out.trim(), expected.text.trim(), "{place}");
        }
        count += 1;
    }
    assert!(count >= 10, "only {count} examples were found");
}
