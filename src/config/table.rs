//! A TOML table whose keys are checked.

use std::ops::Range;

use toml::de::DeTable;

use crate::text::nearest::nearest;

use super::file::Source;
use super::keys::{CONFD_FILE, TOP, TableKeys};
use super::problem::{Problem, Report, ValueError};

mod value;

pub use value::Value;

/// A table. Unknown keys have been reported.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    /// The file that contains it.
    pub source: &'a Source,
    /// Collects problems.
    pub report: &'a Report,
    /// Its keys; several sets if two kinds of table are read as one.
    keys: &'static [&'static TableKeys],
    entries: &'a DeTable<'a>,
    span: (usize, usize),
}

impl<'a> Table<'a> {
    /// Checks a table and reports unknown and repeated keys.
    pub fn new(
        source: &'a Source,
        report: &'a Report,
        keys: &'static [&'static TableKeys],
        entries: &'a DeTable<'a>,
        span: Range<usize>,
    ) -> Self {
        let table = Self { source, report, keys, entries, span: (span.start, span.end) };
        table.check_keys();
        table
    }

    /// Checks every key.
    fn check_keys(&self) {
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for key in self.entries.keys() {
            let written = key.get_ref().as_ref();
            let Some(known) = self.keys.iter().find_map(|keys| keys.canonical(written)) else {
                let problem = self.source.problem(key.span(), self.unknown(written));
                if self.name() == TOP.table {
                    self.report.set_incomplete();
                }
                // After an invalid table header, the keys of that table count as top-level keys.
                let stray = self.name() == TOP.table && !self.source.is_header(key.span().start);
                if stray {
                    self.report.structure(problem);
                } else {
                    self.report.error(problem);
                }
                continue;
            };
            if let Some((_, other)) = seen.iter().find(|(taken, _)| *taken == known) {
                let wrong = ValueError::new(
                    format!("`{written}` means the same as `{other}`"),
                    format!("remove one of them; rosterd's own name is `{known}`"),
                );
                self.report.error(self.source.problem(key.span(), wrong));
            }
            seen.push((known, written));
        }
    }

    /// The error for an unknown key.
    fn unknown(&self, written: &str) -> ValueError {
        let name = self.name();
        if name == TOP.table && CONFD_FILE.contains(&written) {
            let hint = "see \"From confd\" in docs/migrating.md for the equivalent of each setting";
            return ValueError::new(format!("`{written}` is a setting of confd.toml, not of rosterd"), hint);
        }
        let message = format!("unknown key `{written}` in {name}");
        let known = || self.keys.iter().flat_map(|keys| keys.keys).map(|key| key.name);
        let spellings = self.keys.iter().flat_map(|keys| keys.aliases).map(|(alias, _)| *alias);
        let hint = nearest(written, known().chain(spellings)).map_or_else(
            || {
                let mut all: Vec<&str> = known().collect();
                all.sort_unstable();
                format!("known keys: {}", all.join(", "))
            },
            |near| format!("did you mean `{near}`?"),
        );
        ValueError::new(message, hint)
    }

    /// The byte range of its header.
    pub fn span(&self) -> Range<usize> {
        self.span.0..self.span.1
    }

    /// How the table is written.
    pub fn name(&self) -> &'static str {
        self.keys.first().map_or("", |keys| keys.table)
    }

    /// Creates a problem at the header.
    pub fn problem(&self, wrong: ValueError) -> Problem {
        self.source.problem(self.span(), wrong)
    }

    /// The value of a key or of one of its aliases.
    pub fn get(&self, key: &'static str) -> Option<Value<'a>> {
        let (name, value) = self
            .entries
            .iter()
            .find(|(name, _)| self.keys.iter().find_map(|keys| keys.canonical(name.get_ref())) == Some(key))?;
        // The parser gives no position to a value missing after `=`; the key is the nearest.
        let span = if value.span() == (0..0) { name.span() } else { value.span() };
        Some(Value::new(self.source, self.report, name.get_ref(), value.get_ref(), span))
    }

    /// The value of a required key; `example` is for the hint.
    pub fn require(&self, key: &'static str, example: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            let wrong = ValueError::new(format!("{} has no `{key}`", self.name()), format!("add {key} = {example}"));
            self.report.structure(self.problem(wrong));
        }
        value
    }

    /// Every key with its value, for a table with arbitrary keys.
    pub fn any(source: &'a Source, report: &'a Report, entries: &'a DeTable<'a>) -> impl Iterator<Item = Value<'a>> {
        entries.iter().map(move |(key, value)| Value::new(source, report, key.get_ref(), value.get_ref(), key.span()))
    }
}

/// The one table of this name in all files; a second one is a problem.
pub fn single<'a>(tops: &[Table<'a>], key: &'static str) -> Option<Value<'a>> {
    let mut values = tops.iter().filter_map(|top| top.get(key));
    let first = values.next()?;
    for value in values {
        value.reject(ValueError::new(
            format!("[{key}] is already defined at {}", first.source.place(first.span().start)),
            "merge the two tables",
        ));
    }
    Some(first)
}
