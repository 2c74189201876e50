//! Checks that names are unique.

use std::collections::BTreeMap;

use super::problem::ValueError;
use super::table::{Table, Value};

/// The names in use, each with its owner and position.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// Whether no name is in use.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a name is in use.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Every name in use.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Adds a name. A duplicate is reported at `value`, or at the table if the name is not written. `what` is the kind
    /// of its owner: "roster".
    pub fn add(&mut self, name: &str, what: &str, value: Option<&Value<'_>>, table: &Table<'_>) {
        let span = value.map_or_else(|| table.span(), Value::span);
        let holder = format!("{what} at {}", table.source.place(span.start));
        let Some(other) = self.0.insert(name.to_owned(), holder) else { return };
        let wrong =
            ValueError::new(format!("the name {name:?} is taken by the {other}"), "give one of them another `name`");
        table.report.error(table.source.problem(span, wrong));
    }
}
