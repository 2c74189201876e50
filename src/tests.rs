//! The rules for the directories of src/, and what the documentation must list.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::keys::TABLES;

mod imports;

/// Every Rust file under a directory of this crate, with its text. Tests are exempt from the rules.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_stem().is_some_and(|name| name == "tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push((path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    files
}

/// A line's code, without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

#[test]
fn decide_is_pure() {
    let impure =
        ["tokio", "std::fs", "std::process", "std::env", "std::net::Tcp", "Instant::now", "SystemTime", "rand::"];
    let mut files = sources("src/decide");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/decide.rs");
    files.push((root.clone(), fs::read_to_string(root).unwrap()));
    assert!(files.len() > 1, "src/decide is not where this test looks");
    for (file, text) in files {
        for (number, line) in text.lines().enumerate() {
            for word in impure {
                assert!(
                    !code(line).contains(word),
                    "{}:{}: decide/ is pure, and this is {word}",
                    file.display(),
                    number + 1
                );
            }
        }
    }
}

/// Everything that shows the agent's state reads the engine's report, so that the engine can change independently.
#[test]
fn status_reads_the_report_and_nothing_else_of_the_engine() {
    let mut files = sources("src/report");
    let alone = ["src/report.rs", "src/cli/status.rs"].map(|file| Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    files.extend(alone.map(|file| (file.clone(), fs::read_to_string(file).unwrap())));
    assert!(files.len() > 4, "src/report is not where this test looks");
    for (file, text) in files {
        for (number, line) in text.lines().enumerate() {
            let mut uses = code(line).split("decide").skip(1);
            let is_allowed = |rest: &str| {
                let name = rest.strip_prefix("::").unwrap_or(rest).split(|c: char| !c.is_alphanumeric()).next();
                matches!(name, Some("report" | "Moment"))
            };
            assert!(
                uses.all(is_allowed),
                "{}:{}: of decide, status may use only `report` and `Moment`",
                file.display(),
                number + 1
            );
        }
    }
}

/// The headings of docs/configuration.md: `## `[[roster]]`` is a table, `### `min`` a key of it, or several with commas.
fn documented() -> BTreeSet<(String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(file).unwrap();
    let mut table = String::new();
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.replace('`', "").clone_into(&mut table);
        } else if let Some(heading) = line.strip_prefix("### ") {
            // Every second part between backquotes is code.
            for key in heading.split('`').skip(1).step_by(2) {
                assert!(keys.insert((table.clone(), key.to_owned())), "{table} {key} has two headings");
            }
        }
    }
    keys
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let known: BTreeSet<(String, String)> = TABLES
        .iter()
        .flat_map(|table| table.keys.iter().map(|key| (table.table.to_owned(), key.name.to_owned())))
        .collect();
    let documented = documented();
    let missing: Vec<_> = known.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks {missing:?}");
    let unknown: Vec<_> = documented.difference(&known).collect();
    assert!(unknown.is_empty(), "docs/configuration.md has keys that the parser does not know: {unknown:?}");
}

#[test]
fn the_reference_has_every_other_spelling() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(file).unwrap();
    for (alias, key) in TABLES.iter().flat_map(|table| table.aliases) {
        let row = format!("| `{alias}` | `{key}` |");
        assert!(text.contains(&row), "docs/configuration.md has no row {row}");
    }
}

#[test]
fn only_events_are_logged() {
    let macros = ["info!(", "warn!(", "error!("];
    for (file, text) in sources("src").iter().filter(|(file, _)| !file.to_string_lossy().contains("src/log")) {
        for (line, number) in text.lines().zip(1..) {
            let called = macros.iter().any(|name| code(line).contains(name));
            assert!(!called, "{}:{number}: emit an event instead", file.display());
        }
    }
}
