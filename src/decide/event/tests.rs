//! The reference lists every event with its level, message and fields, and no others.

use std::collections::BTreeSet;

use super::Event;

use crate::support::docs::{EVENTS, code, event_rows};

#[test]
fn every_event_is_in_the_reference_and_no_other() {
    let documented: BTreeSet<String> = event_rows(5).iter().map(|row| row[..4].join(" | ")).collect();
    let known: BTreeSet<String> = Event::KINDS
        .iter()
        .map(|kind| {
            let level = format!("{:?}", kind.severity).to_lowercase();
            let fields: Vec<String> = kind.fields.iter().map(|field| format!("`{field}`")).collect();
            format!("{}` | {level} | {} | {}", kind.name, kind.message, fields.join(" "))
        })
        .collect();
    assert_eq!(known.len(), Event::KINDS.len(), "two events have the same name");
    let missing: Vec<_> = known.difference(&documented).collect();
    assert!(missing.is_empty(), "{EVENTS} lacks {missing:#?}");
    let unknown: Vec<_> = documented.difference(&known).collect();
    assert!(unknown.is_empty(), "{EVENTS} has {unknown:#?}");
}

#[test]
fn every_field_of_an_event_is_in_the_reference_and_no_other() {
    let rows = event_rows(3);
    let documented: BTreeSet<&str> = rows.iter().flat_map(|row| code(&row[0])).collect();
    let known: BTreeSet<&str> = Event::KINDS.iter().flat_map(|kind| kind.fields.iter().copied()).collect();
    assert_eq!(documented, known);
}
