//! The configuration with every key and its description. Only a registry is set; the rest is commented out.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::config::description;
use crate::config::keys::{TABLES, TOP, TableKeys};
use crate::config::schema::id;

/// Every key, in this order, with an example or its default. A key after `# ` is an alternative to those above it.
const KEYS: &str = include_str!("annotated.toml");

/// The lines that are not commented out: a configuration needs a registry.
const SET: [&str; 2] = ["[[registry]]", "url = \"zk://127.0.0.1:2181\""];

/// What precedes the first key.
const HEAD: &str = "\
# The configuration of rosterd: every setting with its description, and with an example or its default.
#
# To use a setting, remove the # before it, and before the [table] above it. A line `# key = value` is an
# alternative to the settings above it. `rosterd check` finds mistakes, and HUP (`systemctl reload rosterd`)
# applies the file. The reference is docs/configuration.md.
";

/// The maximum width of a line with a description.
const WIDTH: usize = 100;

/// The annotated configuration.
pub fn annotated() -> String {
    let mut out = HEAD.to_owned();
    let (mut set, mut described, mut table) = (SET.iter().peekable(), BTreeSet::new(), &TOP);
    for line in KEYS.lines() {
        let key = line.trim_start_matches("# ").split_once(" = ").map(|(key, _)| key);
        let heading = line.trim_matches(['[', ']']);
        // `jones.check.SERVICE` ends with a name of the user's.
        let heading = heading.match_indices('.').nth(1).map_or(heading, |(at, _)| &heading[..at]);
        if key.is_none() && !line.is_empty() {
            table = known(heading);
        }
        let texts = match key {
            Some(key) => [description(table.table, Some(key)), String::new()],
            None => of_table(table, heading),
        };
        let is_new = !line.is_empty() && described.insert((table.table, key.unwrap_or(heading)));
        for (at, text) in texts.iter().enumerate().filter(|(_, text)| is_new && !text.is_empty()) {
            let _ = writeln!(out, "{}\n{}", if at == 0 { "" } else { "#" }, comment(text));
        }
        let is_kept = set.next_if(|next| **next == line).is_some() || line.is_empty() || line.starts_with('#');
        let _ = writeln!(out, "{}{line}", if is_kept { "" } else { "#" });
    }
    out
}

/// The table of a heading, `roster.wait`.
fn known(heading: &str) -> &'static TableKeys {
    TABLES.into_iter().find(|table| id(table.table) == heading).unwrap_or(&TOP)
}

/// Describes a table: as a key of another table, and by itself. For one at the top level, one of them suffices.
fn of_table(table: &TableKeys, heading: &str) -> [String; 2] {
    // `[vars]` is no table with known keys.
    let own = if table == &TOP { String::new() } else { description(table.table, None) };
    match heading.rsplit_once('.') {
        Some((parent, key)) => [description(known(parent).table, Some(key)), own],
        None if own.is_empty() => [description(TOP.table, Some(heading)), own],
        None => [own, String::new()],
    }
}

/// A text as lines of a comment.
fn comment(text: &str) -> String {
    let (mut out, mut width) = ("#".to_owned(), 1);
    for word in text.split(' ') {
        let length = word.chars().count() + 1;
        if width + length > WIDTH {
            out.push_str("\n#");
            width = 1;
        }
        width += length;
        out.push(' ');
        out.push_str(word);
    }
    out
}
