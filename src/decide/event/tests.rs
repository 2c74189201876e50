//! The reference of events has every event, with its level, message and fields, and no other.

use std::collections::BTreeSet;

use crate::decide::Event;

use crate::support::docs::text;

const REFERENCE: &str = "docs/operations.md";

/// The cells of each row of a table in the reference whose first cell is code, and which has so many.
fn rows(columns: usize) -> Vec<Vec<String>> {
    let page = text(REFERENCE);
    let section =
        page.lines().skip_while(|line| *line != "## Events").skip(1).take_while(|it| *it != "### roster_held");
    let cells = |line: &str| Some(line.strip_prefix("| `")?.split(" | ").map(str::to_owned).collect());
    section.filter_map(cells).filter(|cells: &Vec<String>| cells.len() == columns).collect()
}

fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(['`', ' ', ',']).filter(|word| !word.is_empty())
}

#[test]
fn every_event_is_in_the_reference_and_no_other() {
    let documented: BTreeSet<String> = rows(5).iter().map(|row| row[..4].join(" | ")).collect();
    let known: BTreeSet<String> = Event::KINDS
        .iter()
        .map(|kind| {
            let level = format!("{:?}", kind.severity).to_lowercase();
            let fields: Vec<String> = kind.fields.iter().map(|field| format!("`{field}`")).collect();
            format!("{}` | {level} | {} | {}", kind.name, kind.message, fields.join(" "))
        })
        .collect();
    assert_eq!(known.len(), Event::KINDS.len(), "two events have one name");
    let missing: Vec<_> = known.difference(&documented).collect();
    assert!(missing.is_empty(), "{REFERENCE} lacks {missing:#?}");
    let unknown: Vec<_> = documented.difference(&known).collect();
    assert!(unknown.is_empty(), "{REFERENCE} has {unknown:#?}");
}

#[test]
fn every_field_of_an_event_is_in_the_reference_and_no_other() {
    let rows = rows(3);
    let documented: BTreeSet<&str> = rows.iter().flat_map(|row| code(&row[0])).collect();
    let known: BTreeSet<&str> = Event::KINDS.iter().flat_map(|kind| kind.fields.iter().copied()).collect();
    assert_eq!(documented, known);
}
