//! Every example of the template guide gives what the guide says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use rosterd::config::TemplateConfig;
use rosterd::decide::{RosterValue, Seated, Seats, Snapshot};
use rosterd::host::Host;
use rosterd::payload::{Format, decode};
use rosterd::render::{Globals, Library, NameKind};

/// The fenced blocks of the guide: language, text, and the line they begin on.
fn blocks() -> Vec<(String, String, usize)> {
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/templates.md")).unwrap();
    let mut blocks: Vec<(String, String, usize)> = Vec::new();
    let mut open = false;
    for (line, number) in guide.lines().zip(1..) {
        if let Some(language) = line.strip_prefix("```") {
            open = !open;
            if open {
                blocks.push((language.to_owned(), String::new(), number));
            }
        } else if let Some((_, text, _)) = blocks.last_mut().filter(|_| open) {
            text.push_str(line);
            text.push('\n');
        }
    }
    blocks
}

fn seats(nodes: &Map<String, Value>) -> Seats {
    let decoded = nodes.iter().map(|(name, data)| {
        let bytes: Arc<[u8]> = serde_json::to_vec(data).unwrap().into();
        Arc::new(decode(Format::Auto, name, &Ok(bytes)).unwrap())
    });
    decoded.zip(0..).map(|(member, slot)| Seated { member, slot }).collect()
}

/// The members that the guide shows first of all.
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
        complete: true,
    };
    let library = Library::load(&[Arc::new(template)], dir.path(), globals).map_err(|e| format!("{e:?}"))?;
    let bytes = library.render(Path::new("t"), snapshot).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[test]
fn every_example_of_the_guide_is_right() {
    let blocks = blocks();
    let snapshot = snapshot(&blocks[0].1);
    let examples = blocks.iter().enumerate().filter(|(_, (language, ..))| language == "jinja");
    let mut count = 0;
    for (at, (_, text, line)) in examples {
        let out = render(text, &snapshot).unwrap_or_else(|error| panic!("docs/templates.md:{line}: {error}"));
        if let Some((_, expected, _)) = blocks.get(at + 1).filter(|(language, ..)| language == "text") {
            assert_eq!(out.trim(), expected.trim(), "docs/templates.md:{line}");
        }
        count += 1;
    }
    assert!(count >= 10, "only {count} examples were found");
}
