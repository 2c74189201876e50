//! One table and one value as they are written: typed reading that reports what does not fit, at its place, and goes on.
//!
//! A reader gives `None` after it has reported, so that a caller takes a default and the next problem is found too.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::file::Source;
use super::fill::Fill;
use super::keys::{Later, TableKeys, nearest};
use super::problem::{Problem, Report, Wrong};
use super::scalar;

/// A table whose keys are all known: what is not has been reported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    /// The file that it stands in.
    pub source: &'a Source,
    /// Where problems go.
    pub report: &'a Report,
    /// What it may hold; several where two kinds of table are read as one.
    keys: &'static [&'static TableKeys],
    entries: &'a DeTable<'a>,
    span: (usize, usize),
}

/// A value, and the key that it is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    /// The file that it stands in.
    pub source: &'a Source,
    /// Where problems go.
    pub report: &'a Report,
    /// Its key, for messages.
    pub key: &'a str,
    value: &'a DeValue<'a>,
    span: (usize, usize),
}

impl<'a> Table<'a> {
    /// Takes a table, and reports its unknown keys, its doubled ones and those of later work.
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

    /// Looks at every key once.
    fn check_keys(&self) {
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for (key, value) in self.entries {
            let written = key.get_ref().as_ref();
            let Some(known) = self.keys.iter().find_map(|keys| keys.canonical(written)) else {
                self.report.wrong(self.source.problem(key.span(), self.unknown(written)));
                continue;
            };
            if let Some((_, other)) = seen.iter().find(|(taken, _)| *taken == known) {
                let wrong = Wrong::new(
                    format!("`{written}` says the same as `{other}`"),
                    format!("leave one of the two out; rosterd's own word is `{known}`"),
                );
                self.report.wrong(self.source.problem(key.span(), wrong));
            }
            seen.push((known, written));
            let later = self.keys.iter().flat_map(|keys| keys.later()).find(|later| later.key == known);
            if let Some(wrong) = later.and_then(|later| refuse_later(later, value.get_ref())) {
                self.report.wrong(self.source.problem(key.span(), wrong));
            }
        }
    }

    /// What to say of a key that is not known here.
    fn unknown(&self, written: &str) -> Wrong {
        let name = self.name();
        let message = format!("unknown key `{written}` in {name}");
        let known = || self.keys.iter().flat_map(|keys| keys.all());
        let spellings = self.keys.iter().flat_map(|keys| keys.aliases).map(|(alias, _)| *alias);
        let hint = nearest(written, known().chain(spellings)).map_or_else(
            || {
                let mut all: Vec<&str> = known().collect();
                all.sort_unstable();
                format!("{name} takes {}", all.join(", "))
            },
            |near| format!("did you mean `{near}`?"),
        );
        Wrong::new(message, hint)
    }

    /// The bytes of the file that its header stands at.
    pub fn span(&self) -> Range<usize> {
        self.span.0..self.span.1
    }

    /// How the table is written.
    pub fn name(&self) -> &'static str {
        self.keys.first().map_or("", |keys| keys.table)
    }

    /// Where the table begins, for a problem with the whole of it.
    pub fn problem(&self, wrong: Wrong) -> Problem {
        self.source.problem(self.span(), wrong)
    }

    /// The value of a key, however it is spelled.
    pub fn get(&self, key: &'static str) -> Option<Value<'a>> {
        let (name, value) = self
            .entries
            .iter()
            .find(|(name, _)| self.keys.iter().find_map(|keys| keys.canonical(name.get_ref())) == Some(key))?;
        // The parser gives no place to a value that is missing after `=`; its key's is the nearest.
        let span = if value.span() == (0..0) { name.span() } else { value.span() };
        let (source, report) = (self.source, self.report);
        Some(Value {
            source,
            report,
            key: name.get_ref().as_ref(),
            value: value.get_ref(),
            span: (span.start, span.end),
        })
    }

    /// The value of a key that must be there; `example` is what one may write.
    pub fn require(&self, key: &'static str, example: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            let wrong = Wrong::new(format!("{} has no `{key}`", self.name()), format!("add {key} = {example}"));
            self.report.missing(self.problem(wrong));
        }
        value
    }

    /// Every key as it is written, with its value: for a table that takes any key.
    pub fn any(source: &'a Source, report: &'a Report, entries: &'a DeTable<'a>) -> impl Iterator<Item = Value<'a>> {
        entries.iter().map(move |(key, value)| {
            let span = (key.span().start, key.span().end);
            Value { source, report, key: key.get_ref().as_ref(), value: value.get_ref(), span }
        })
    }
}

/// A key of later work is refused, unless it asks for what is done anyway.
fn refuse_later(later: &Later, value: &DeValue<'_>) -> Option<Wrong> {
    let key = later.key;
    if later.accepted.is_empty() {
        let hint = format!("take `{key}` out: rosterd does not pass over what it cannot do");
        return Some(Wrong::new(format!("`{key}` is not supported by this version"), hint));
    }
    let given = match value {
        DeValue::String(text) if later.accepted.contains(&text.as_ref()) => return None,
        DeValue::String(text) => format!("{key} = {text:?}"),
        other => format!("{key} as {}", kind(other)),
    };
    let hint = format!("leave it out, or write {key} = {:?}", later.accepted[0]);
    Some(Wrong::new(format!("{given} is not supported by this version"), hint))
}

/// What a value is, in words.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl<'a> Value<'a> {
    /// The bytes of the file that it stands at.
    pub fn span(&self) -> Range<usize> {
        self.span.0..self.span.1
    }

    /// Reports a problem with this value.
    pub fn wrong(&self, wrong: Wrong) {
        self.report.wrong(self.source.problem(self.span(), wrong));
    }

    /// Reports a problem with a part of this value's text; with all of it where the part cannot be found as written.
    pub fn wrong_part(&self, part: &str, wrong: Wrong) {
        let found = self.source.text.get(self.span()).and_then(|written| written.find(part));
        let span = found.map_or(self.span(), |at| self.span.0 + at..self.span.0 + at + part.len());
        self.report.wrong(self.source.problem(span, wrong));
    }

    /// Reports a value of the wrong kind; `example` is what one may write.
    pub fn wrong_kind(&self, must: &str, example: &str) {
        let (key, is) = (self.key, kind(self.value));
        self.wrong(Wrong::new(format!("`{key}` is {is}, and must be {must}"), format!("write {key} = {example}")));
    }

    /// What the reader of a part says, or a report of why not.
    pub fn accept<T>(&self, read: Result<T, Wrong>) -> Option<T> {
        read.map_err(|wrong| self.wrong(wrong)).ok()
    }

    /// The value itself, for what takes several kinds.
    pub fn raw(&self) -> &'a DeValue<'a> {
        self.value
    }

    /// A string that is not empty and has no control characters: neither a path nor a name has them.
    pub fn text(&self, example: &str) -> Option<&'a str> {
        let DeValue::String(text) = self.value else {
            self.wrong_kind("a string", example);
            return None;
        };
        if text.is_empty() || text.chars().any(char::is_control) {
            let what = if text.is_empty() { "is empty" } else { "holds a control character" };
            self.wrong(Wrong::new(format!("`{}` {what}", self.key), format!("write {} = {example}", self.key)));
            return None;
        }
        Some(text)
    }

    /// A string with its variables filled in; what comes of that is not empty and has no control characters either.
    pub fn filled(&self, fill: &Fill<'_>, example: &str) -> Option<String> {
        let text = self.text(example)?;
        match fill.fill(text) {
            Ok(filled) if filled.is_empty() || filled.chars().any(char::is_control) => {
                let message = format!("`{}` becomes {filled:?}, which is empty or holds a control character", self.key);
                self.wrong(Wrong::new(message, "give the variables in it another value"));
                None
            }
            Ok(filled) => Some(filled),
            Err((part, wrong)) => {
                self.wrong_part(&part, wrong);
                None
            }
        }
    }

    /// A text that one of `scalar`'s readers understands.
    pub fn read<T>(&self, read: fn(&str) -> Result<T, Wrong>, example: &str) -> Option<T> {
        self.text(example).and_then(|text| self.accept(read(text)))
    }

    /// How long something takes.
    pub fn duration(&self, example: &str) -> Option<Duration> {
        self.read(scalar::duration, example)
    }

    /// How long something may take, which is never 0.
    pub fn timeout(&self, example: &str) -> Option<Duration> {
        let duration = self.duration(example)?;
        if duration.is_zero() {
            let wrong =
                Wrong::new(format!("`{}` is 0, and nothing is done in no time", self.key), "write a longer one");
            self.wrong(wrong);
            return None;
        }
        Some(duration)
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        if let DeValue::Boolean(value) = self.value {
            return Some(*value);
        }
        self.wrong_kind("true or false", "true");
        None
    }

    /// How many.
    pub fn count<T: TryFrom<i64>>(&self, example: &str) -> Option<T> {
        let DeValue::Integer(number) = self.value else {
            self.wrong_kind("a whole number", example);
            return None;
        };
        let count = scalar::integer(number).and_then(|number| T::try_from(number).ok());
        if count.is_none() {
            let message = format!("`{}` is {}, which cannot be counted", self.key, number);
            self.wrong(Wrong::new(message, format!("write {} = {example}", self.key)));
        }
        count
    }

    /// One of some words.
    pub fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
        let text = self.text(words.first().map_or("", String::as_str))?;
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let hint = nearest(text, choices.iter().map(|(word, _)| *word))
                .map_or_else(|| format!("write one of {}", words.join(", ")), |near| format!("did you mean {near:?}?"));
            self.wrong(Wrong::new(format!("`{}` cannot be {text:?}", self.key), hint));
        }
        chosen
    }

    /// A place on this host's disk, absolute: a relative one is relative to the file that it stands in.
    pub fn path(&self, example: &str) -> Option<PathBuf> {
        self.text(example).map(|text| self.source.base.join(text))
    }

    /// The elements of a list.
    pub fn items(&self, example: &str) -> Option<Vec<Value<'a>>> {
        let DeValue::Array(list) = self.value else {
            self.wrong_kind("a list", example);
            return None;
        };
        let item = |value: &'a toml::Spanned<DeValue<'a>>| {
            // As above: what is broken has the place of the whole.
            let span = if value.span() == (0..0) { self.span } else { (value.span().start, value.span().end) };
            Value { value: value.get_ref(), span, ..*self }
        };
        Some(list.iter().map(item).collect())
    }

    /// The keys and values of a table that takes any key.
    pub fn map(&self, example: &str) -> Option<Vec<Value<'a>>> {
        let DeValue::Table(entries) = self.value else {
            self.wrong_kind("a table", example);
            return None;
        };
        Some(Table::any(self.source, self.report, entries).collect())
    }

    /// A table.
    pub fn table(&self, keys: &'static [&'static TableKeys], example: &str) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.value else {
            self.wrong_kind("a table", example);
            return None;
        };
        Some(Table::new(self.source, self.report, keys, entries, self.span()))
    }

    /// `[[name]]`: a list of tables.
    pub fn tables(&self, keys: &'static [&'static TableKeys]) -> Vec<Table<'a>> {
        let DeValue::Array(list) = self.value else {
            let name = self.key;
            self.wrong(Wrong::new(
                format!("`{name}` is {}, and there may be several", kind(self.value)),
                format!("write [[{name}]] with two brackets"),
            ));
            return Vec::new();
        };
        let example = format!("[{{ … }}], or a table that begins with [[{}]]", self.key);
        let item = |value: &'a toml::Spanned<DeValue<'a>>| {
            let span = (value.span().start, value.span().end);
            Value { value: value.get_ref(), span, ..*self }.table(keys, &example)
        };
        list.iter().filter_map(item).collect()
    }
}
