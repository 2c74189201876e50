//! Tera's errors as facts with a place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tera::{Error, ErrorKind, ReportError};

use crate::config::Problem;

use super::source::{SEE_GUIDE, Source};

/// Why a template could not be rendered with these members. Displayed with file, line, column and a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// The template that it is in, by its name in the template directory; an included one maybe.
    pub template: String,
    /// Line and column, both from 1; `None` where Tera tells no place.
    pub position: Option<(usize, usize)>,
    /// What is wrong, in one line.
    pub message: String,
    /// The line of the template with a caret under the place, and from where it was included.
    snippet: Option<String>,
}

impl RenderError {
    pub fn from_tera(error: &Error, src: &Path) -> Self {
        match error.kind() {
            ErrorKind::RenderingError(report) | ErrorKind::SyntaxError(report) => {
                let message = message(report);
                // Tera's drawing is its message in the first line, then the place.
                let snippet = error.to_string();
                let snippet = snippet.split_once('\n').map(|(_, snippet)| snippet.to_owned());
                let span = report.span();
                Self {
                    template: report.filename().to_owned(),
                    position: Some((span.start_line, span.start_col + 1)),
                    message,
                    snippet,
                }
            }
            other => Self::without_position(src, &other.to_string()),
        }
    }

    pub fn without_position(src: &Path, message: &str) -> Self {
        Self { template: src.display().to_string(), position: None, message: message.to_owned(), snippet: None }
    }
}

/// Tera's message; where it does not say what is undefined, what to do about it.
fn message(report: &ReportError) -> String {
    match report.message() {
        "Tried to render a variable that is undefined" => {
            "undefined: not every member has this field, or its name is misspelled; default(value=…) sets a fallback"
                .to_owned()
        }
        message => message.to_owned(),
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.snippet {
            Some(snippet) => write!(f, "{}\n{snippet}", self.message),
            None => write!(f, "{}: {}", self.template, self.message),
        }
    }
}

impl std::error::Error for RenderError {}

/// What Tera finds wrong when templates are put together: a block that no parent has, a component defined twice. It
/// gives these as text only: reports of `error: …` and `--> file:line:column`, with empty lines between them.
pub fn at_load(error: &Error, files: &BTreeMap<String, Arc<Source>>, entry: &Source) -> Vec<Problem> {
    let text = error.to_string();
    text.split("\n\n")
        .map(|report| parse_report(report, files).unwrap_or_else(|| entry.problem(0..0, report, Some(hint(report)))))
        .collect()
}

fn hint(message: &str) -> String {
    if message.contains("in any parent template") {
        return "use the name of a block in the parent, or add this block to the parent".to_owned();
    }
    SEE_GUIDE.to_owned()
}

fn parse_report(report: &str, files: &BTreeMap<String, Arc<Source>>) -> Option<Problem> {
    let (message, rest) = report.strip_prefix("error: ")?.split_once('\n')?;
    let place = rest.trim_start().strip_prefix("--> ")?.lines().next()?;
    let mut parts = place.rsplitn(3, ':');
    let (column, line, name) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
    let source = files.get(name)?;
    let at = offset(&source.text, line, column)?;
    Some(source.problem(at..at, message, Some(hint(message))))
}

/// The byte of a line and a column, both from 1; columns are characters.
fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let column = column.checked_sub(1)?;
    text.get(start..)?.char_indices().map(|(at, _)| start + at).chain([text.len()]).nth(column)
}
