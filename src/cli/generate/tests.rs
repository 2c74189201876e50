use std::collections::BTreeSet;

use super::annotated::annotated;
use crate::config::description;
use crate::config::keys::{CONFD, TABLES, TOP};
use crate::config::schema::id;

#[test]
fn the_annotated_configuration_has_every_key_with_its_description_and_no_other() {
    let text = annotated();
    let (mut table, mut shown) = (id(TOP.table), BTreeSet::new());
    for line in text.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']).split('.').take(2).collect::<Vec<_>>().join(".");
            shown.extend(table.split_once('.').map(|(table, key)| (table.to_owned(), key.to_owned())));
        } else if let Some((key, _)) = line.trim_start().split_once(" = ").filter(|(key, _)| !key.contains(' ')) {
            shown.insert((table.clone(), key.to_owned()));
        }
    }
    shown.remove(&("vars".to_owned(), "zone".to_owned()));
    // The other keys of the top level are the tables themselves, and confd's resources are not written by hand.
    let tables = TABLES.iter().filter(|table| table.table != CONFD.table);
    let keys = tables.flat_map(|table| table.keys.iter().map(|key| (id(table.table), key.name.to_owned())));
    let known: BTreeSet<_> = keys.filter(|(table, key)| *table != id(TOP.table) || key == "include").collect();
    assert_eq!(shown, known);
}

#[test]
fn every_key_has_a_description() {
    for (table, key) in TABLES.iter().flat_map(|table| table.keys.iter().map(move |key| (table, key))) {
        let text = description(table.table, Some(key.name));
        assert!(text.len() > 10 && text.ends_with(['.', ')']), "{} {}: {text:?}", table.table, key.name);
        assert!(!text.contains("]("), "{text}");
        let is_required = text.starts_with("Required") && !text.starts_with("Required, unless");
        let is_marked = table.table.ends_with("reload_cmd") || table.table.ends_with("wait") || is_required;
        assert_eq!(is_marked && key.is_required, key.is_required, "{} {}: {text:?}", table.table, key.name);
        assert!(!is_required || key.is_required, "{} {}: {text:?}", table.table, key.name);
    }
}

#[test]
fn a_description_is_the_first_paragraph_and_the_default() {
    let text = description("[[template]]", Some("isolate"));
    assert!(text.starts_with("Whether members with which") && text.ends_with("Default: `true`."), "{text}");
    let text = description("[agent]", Some("trust"));
    assert!(text.starts_with("Directories that are used") && text.ends_with("Default: none."), "{text}");
    assert_eq!(description("[[key]]", None), "One node's data, as a variable.");
    assert_eq!(description("[[key]]", Some("nothing")), "");
}
