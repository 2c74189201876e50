//! Names that must be unique: who has one already, and where.

use std::collections::BTreeMap;

use super::problem::ValueError;
use super::table::{Table, Value};

/// The names taken so far, each with what has it and where.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// Whether no name is taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a name is taken.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Every name taken.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Takes a name for a table; one that is taken is reported at `value`, or at the table where the name is not
    /// written. `what` is the word for what has it: "roster".
    pub fn add(&mut self, name: &str, what: &str, value: Option<&Value<'_>>, table: &Table<'_>) {
        let span = value.map_or_else(|| table.span(), Value::span);
        let holder = format!("{what} at {}", table.source.place(span.start));
        let Some(other) = self.0.insert(name.to_owned(), holder) else { return };
        let wrong =
            ValueError::new(format!("the name {name:?} is taken by the {other}"), "give one of them another `name`");
        table.report.error(table.source.problem(span, wrong));
    }
}
