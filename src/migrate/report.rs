//! The report of a migration.

use std::fmt::Write as _;
use std::path::Path;

/// A fact about a line of the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The fact.
    pub text: String,
}

/// What was converted, and what is left.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What was not converted.
    pub todo: Vec<Item>,
    /// What was converted and may differ.
    pub check: Vec<Item>,
    /// What was converted, a line each.
    pub converted: Vec<String>,
}

impl Report {
    /// Adds what a person has to do.
    pub fn todo(&mut self, file: &str, line: usize, text: impl Into<String>) {
        add(&mut self.todo, file, line, text.into());
    }

    /// Adds what a person has to check.
    pub fn check(&mut self, file: &str, line: usize, text: impl Into<String>) {
        add(&mut self.check, file, line, text.into());
    }

    /// Adds what was converted.
    pub fn converted(&mut self, text: impl Into<String>) {
        self.converted.push(text.into());
    }

    /// The report in Markdown. `diff` is the command that compares the files.
    pub fn to_markdown(&self, source: &Path, diff: &str) -> String {
        let mut out = format!("# Migration of {}\n", source.display());
        for (title, none, items) in
            [("To do", "Nothing: everything was converted.", &self.todo), ("To check", "Nothing.", &self.check)]
        {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "\n## {title}\n");
            if items.is_empty() {
                let _ = writeln!(out, "{none}");
            }
            for Item { file, line, text } in items {
                let place = if *line == 0 { file.clone() } else { format!("{file}:{line}") };
                let _ = writeln!(out, "- {place}: {text}");
            }
        }
        let _ = writeln!(out, "\n## Converted\n");
        for line in &self.converted {
            let _ = writeln!(out, "- {line}");
        }
        let _ = writeln!(
            out,
            "\n## Compare\n\nThis command shows how the files of the old tool would change. It changes nothing.\n\n    {diff}"
        );
        out
    }
}

fn add(items: &mut Vec<Item>, file: &str, line: usize, text: String) {
    let item = Item { file: file.to_owned(), line, text };
    if !items.contains(&item) {
        items.push(item);
    }
}
