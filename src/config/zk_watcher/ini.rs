//! INI files as Python 3's `configparser.ConfigParser` reads them with its defaults, which zk_watcher uses.

use std::ops::Range;

use crate::config::problem::ValueError;

#[cfg(test)]
mod tests;

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Where its header stands.
    pub span: Range<usize>,
    /// Its options, with those of `[DEFAULT]` at the end.
    pub options: Vec<Entry>,
}

/// An option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key in lower case.
    pub key: String,
    /// The value, interpolated.
    pub value: String,
    /// Where it stands.
    pub span: Range<usize>,
}

/// A problem at a place.
pub type Misplaced = (Range<usize>, ValueError);

const DEFAULT: &str = "DEFAULT";

/// How deeply `%(name)s` may refer to a value with another one (`MAX_INTERPOLATION_DEPTH`).
const MAX_DEPTH: usize = 10;

impl Section {
    /// An option by its key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.options.iter().find(|entry| entry.key == key)
    }
}

/// Parses a text.
///
/// # Errors
/// Every problem, with its place.
pub fn parse(text: &str) -> Result<Vec<Section>, Vec<Misplaced>> {
    let mut reader = Reader { sections: Vec::new(), indent: 0, in_option: false, problems: Vec::new() };
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        reader.line(line, at);
        at += line.len();
    }
    let Reader { mut sections, mut problems, .. } = reader;
    let position = sections.iter().position(|section| section.name == DEFAULT);
    let defaults = position.map(|position| sections.remove(position).options).unwrap_or_default();
    for section in &mut sections {
        let missing: Vec<Entry> = defaults.iter().filter(|entry| section.get(&entry.key).is_none()).cloned().collect();
        section.options.extend(missing);
        let raw = section.clone();
        for entry in &mut section.options {
            match interpolated(&entry.value, &raw, 0) {
                Ok(value) => entry.value = value,
                Err(wrong) => problems.push((entry.span.clone(), wrong)),
            }
        }
    }
    if problems.is_empty() { Ok(sections) } else { Err(problems) }
}

/// The text with a star for each byte of every password, so that messages can show its lines.
pub fn without_passwords(text: &str) -> String {
    const KEY: &str = "password";
    let (mut out, mut is_password) = (String::with_capacity(text.len()), false);
    for line in text.split_inclusive('\n') {
        let start = line.trim_start();
        // What is more indented continues the value.
        let continues = is_password && start.len() < line.len();
        let is_key = start.get(..KEY.len()).is_some_and(|key| key.eq_ignore_ascii_case(KEY));
        is_password = is_key || continues;
        let shown = if continues { 0 } else { line.len() - start.len() + KEY.len() };
        let hide = |(at, c): (usize, char)| {
            let is_shown = !is_password || at < shown || c.is_ascii_whitespace() || (!continues && "=:".contains(c));
            if is_shown { c.to_string() } else { "*".repeat(c.len_utf8()) }
        };
        out.extend(line.char_indices().map(hide));
    }
    out
}

struct Reader {
    sections: Vec<Section>,
    /// The indentation of the current option.
    indent: usize,
    /// A more indented line continues the last option.
    in_option: bool,
    problems: Vec<Misplaced>,
}

impl Reader {
    fn line(&mut self, line: &str, start: usize) {
        let text = line.trim();
        if text.is_empty() || text.starts_with(['#', ';']) {
            return;
        }
        let indent = line.len() - line.trim_start().len();
        let span = start + indent..start + indent + text.len();
        let last = self.sections.last_mut().and_then(|section| section.options.last_mut());
        if let Some(entry) = last.filter(|_| self.in_option && indent > self.indent) {
            entry.value.push('\n');
            entry.value.push_str(text);
            entry.span.end = span.end;
            return;
        }
        self.indent = indent;
        if let Some(name) =
            text.strip_prefix('[').and_then(|rest| Some(&rest[..rest.rfind(']')?])).filter(|it| !it.is_empty())
        {
            self.in_option = false;
            if self.sections.iter().any(|section| section.name == name) {
                let message = format!("the section [{name}] appears twice");
                self.problems.push((span.clone(), ValueError::new(message, "give one of them another name")));
            }
            self.sections.push(Section { name: name.to_owned(), span, options: Vec::new() });
            return;
        }
        self.option(text, span);
    }

    fn option(&mut self, text: &str, span: Range<usize>) {
        let Some(section) = self.sections.last_mut() else {
            let hint = "write a section header, [NAME], above it: each service has its own section";
            self.problems.push((span, ValueError::new("this line comes before the first section", hint)));
            return;
        };
        let Some((key, value)) = text.split_once(['=', ':']) else {
            self.in_option = false;
            let wrong = ValueError::new("this line has neither = nor :", "write KEY = VALUE, or # before a comment");
            self.problems.push((span, wrong));
            return;
        };
        let key = key.trim_end().to_lowercase();
        if section.get(&key).is_some() {
            let message = format!("`{key}` appears twice in [{}]", section.name);
            self.problems.push((span.clone(), ValueError::new(message, "remove one of them")));
        }
        section.options.push(Entry { key, value: value.trim_start().to_owned(), span });
        self.in_option = true;
    }
}

/// `%%` and `%(name)s` in a value (`BasicInterpolation`).
fn interpolated(value: &str, section: &Section, depth: usize) -> Result<String, ValueError> {
    let wrong = |what: String| ValueError::new(what, "write %% for a percent sign");
    if depth > MAX_DEPTH {
        return Err(ValueError::new("%(NAME)s references form a loop", "remove one of the references"));
    }
    let (mut out, mut rest) = (String::new(), value);
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let named = after.strip_prefix('(').and_then(|after| after.split_once(")s"));
        let Some((name, after)) = named else {
            return Err(wrong("% is followed neither by % nor by (NAME)s".to_owned()));
        };
        let Some(entry) = section.get(&name.to_lowercase()) else {
            return Err(wrong(format!("%({name})s names a key that [{}] does not have", section.name)));
        };
        out.push_str(&interpolated(&entry.value, section, depth + 1)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
