//! Typed access to a TOML value.
//!
//! Each reader reports an invalid value at its position and returns `None`. The caller then uses a default, so that
//! further problems are found.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use crate::text::nearest::nearest;

use super::Table;
use crate::config::file::Source;
use crate::config::interpolate::Interpolation;
use crate::config::keys::TableKeys;
use crate::config::problem::{Report, ValueError};
use crate::config::scalar;

/// A value with its key.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    /// The file that contains it.
    pub source: &'a Source,
    /// Collects problems.
    pub report: &'a Report,
    /// Its key, for messages.
    pub key: &'a str,
    /// Whether this is an element of a list.
    item: bool,
    written: &'a DeValue<'a>,
    span: (usize, usize),
}

/// The type of a value, for messages.
pub fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl<'a> Value<'a> {
    /// Creates a value; `key` as it is spelled in the file.
    pub fn new(
        source: &'a Source,
        report: &'a Report,
        key: &'a str,
        written: &'a DeValue<'a>,
        span: Range<usize>,
    ) -> Self {
        Self { source, report, key, item: false, written, span: (span.start, span.end) }
    }

    /// Its byte range in the file.
    pub fn span(&self) -> Range<usize> {
        self.span.0..self.span.1
    }

    /// Reports a problem with this value.
    pub fn reject(&self, wrong: ValueError) {
        self.report.error(self.source.problem(self.span(), wrong));
    }

    /// Reports a problem with a part of this value's text; with the whole value if the file does not contain the part.
    pub fn reject_part(&self, part: &str, wrong: ValueError) {
        let found = self.source.text.get(self.span()).and_then(|written| written.find(part));
        let span = found.map_or(self.span(), |at| self.span.0 + at..self.span.0 + at + part.len());
        self.report.error(self.source.problem(span, wrong));
    }

    /// Reports a value of the wrong type; `example` is a valid value.
    pub fn reject_kind(&self, must: &str, example: &str) {
        let (what, is) = (if self.item { "an element of " } else { "" }, kind(self.written));
        let message = format!("{what}`{}` must be {must}, not {is}", self.key);
        self.reject(ValueError::new(message, format!("write {} = {example}", self.key)));
    }

    /// Returns the result, or reports the error.
    pub fn accept<T>(&self, read: Result<T, ValueError>) -> Option<T> {
        read.map_err(|wrong| self.reject(wrong)).ok()
    }

    /// The raw value, for keys that accept several types.
    pub fn raw(&self) -> &'a DeValue<'a> {
        self.written
    }

    /// A nonempty string without control characters.
    pub fn text(&self, example: &str) -> Option<&'a str> {
        let DeValue::String(text) = self.written else {
            self.reject_kind("a string", example);
            return None;
        };
        if text.is_empty() || text.chars().any(char::is_control) {
            let what = if text.is_empty() { "is empty" } else { "contains a control character" };
            self.reject(ValueError::new(format!("`{}` {what}", self.key), format!("write {} = {example}", self.key)));
            return None;
        }
        Some(text)
    }

    /// A string with its variables interpolated. The result is checked like [`Self::text`].
    pub fn filled(&self, fill: &Interpolation<'_>, example: &str) -> Option<String> {
        let text = self.text(example)?;
        match fill.fill(text) {
            Ok(filled) if filled.is_empty() || filled.chars().any(char::is_control) => {
                let message =
                    format!("`{}` becomes {filled:?}, which is empty or contains a control character", self.key);
                self.reject(ValueError::new(message, "change the values of its variables"));
                None
            }
            Ok(filled) => Some(filled),
            Err((part, wrong)) => {
                self.reject_part(&part, wrong);
                None
            }
        }
    }

    /// A string parsed by a function of `scalar`.
    pub fn read<T>(&self, read: fn(&str) -> Result<T, ValueError>, example: &str) -> Option<T> {
        self.text(example).and_then(|text| self.accept(read(text)))
    }

    /// A duration.
    pub fn duration(&self, example: &str) -> Option<Duration> {
        self.read(scalar::duration, example)
    }

    /// A duration greater than 0.
    pub fn timeout(&self, example: &str) -> Option<Duration> {
        let duration = self.duration(example)?;
        if duration.is_zero() {
            let message = format!("`{}` is 0; it must be greater than 0", self.key);
            let wrong = ValueError::new(message, format!("write a duration greater than 0, as in {example}"));
            self.reject(wrong);
            return None;
        }
        Some(duration)
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        if let DeValue::Boolean(value) = self.written {
            return Some(*value);
        }
        self.reject_kind("true or false", "true");
        None
    }

    /// An integer in the range of `T`.
    pub fn count<T: TryFrom<i64>>(&self, example: &str) -> Option<T> {
        let DeValue::Integer(number) = self.written else {
            self.reject_kind("a whole number", example);
            return None;
        };
        let count = scalar::integer(number).and_then(|number| T::try_from(number).ok());
        if count.is_none() {
            let message = format!("`{}` is {}, which is out of range", self.key, number);
            self.reject(ValueError::new(message, format!("write {} = {example}", self.key)));
        }
        count
    }

    /// One of the given words.
    pub fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
        let text = self.text(words.first().map_or("", String::as_str))?;
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let hint = nearest(text, choices.iter().map(|(word, _)| *word))
                .map_or_else(|| format!("write one of {}", words.join(", ")), |near| format!("did you mean {near:?}?"));
            self.reject(ValueError::new(format!("`{}` cannot be {text:?}", self.key), hint));
        }
        chosen
    }

    /// A path, resolved against the directory of the file.
    pub fn path(&self, example: &str) -> Option<PathBuf> {
        self.text(example).map(|text| self.source.base.join(text))
    }

    /// The elements of a list.
    pub fn items(&self, example: &str) -> Option<Vec<Value<'a>>> {
        let DeValue::Array(list) = self.written else {
            self.reject_kind("a list", example);
            return None;
        };
        let item = |value: &'a Spanned<DeValue<'a>>| {
            // An invalid element has no position; the list has.
            let span = if value.span() == (0..0) { self.span } else { (value.span().start, value.span().end) };
            Value { written: value.get_ref(), item: true, span, ..*self }
        };
        Some(list.iter().map(item).collect())
    }

    /// The entries of a table with arbitrary keys; `None`, without a report, if it is not a table.
    pub fn map(&self) -> Option<Vec<Value<'a>>> {
        let DeValue::Table(entries) = self.written else { return None };
        Some(Table::any(self.source, self.report, entries).collect())
    }

    /// `[name]`: one table.
    pub fn section(&self, keys: &'static [&'static TableKeys]) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.written else {
            self.reject_section();
            return None;
        };
        Some(Table::new(self.source, self.report, keys, entries, self.span()))
    }

    /// Reports a value that is not a table.
    pub fn reject_section(&self) {
        let (name, is) = (self.key, kind(self.written));
        let message = format!("`{name}` must be a table, not {is}");
        self.reject(ValueError::new(message, format!("write [{name}] with one bracket, and its keys under it")));
    }

    /// A table.
    pub fn table(&self, keys: &'static [&'static TableKeys], example: &str) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.written else {
            self.reject_kind("a table", example);
            return None;
        };
        Some(Table::new(self.source, self.report, keys, entries, self.span()))
    }

    /// `[[name]]`: a list of tables.
    pub fn tables(&self, keys: &'static [&'static TableKeys]) -> Vec<Table<'a>> {
        let DeValue::Array(list) = self.written else {
            let name = self.key;
            self.reject(ValueError::new(
                format!("`{name}` must be a list of tables, not {}", kind(self.written)),
                format!("write [[{name}]] with two brackets"),
            ));
            self.report.set_incomplete();
            return Vec::new();
        };
        let example = format!("[{{ … }}], or a table that begins with [[{}]]", self.key);
        let item = |value: &'a Spanned<DeValue<'a>>| {
            let span = (value.span().start, value.span().end);
            let table = Value { written: value.get_ref(), span, ..*self }.table(keys, &example);
            if table.is_none() {
                self.report.set_incomplete();
            }
            table
        };
        list.iter().filter_map(item).collect()
    }
}
