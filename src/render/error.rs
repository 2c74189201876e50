//! Converts errors of Tera to problems with a position.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tera::{Error, ErrorKind, ReportError};

use crate::config::Problem;
use crate::model::node_path::NodePath;

use super::source::Source;
use super::syntax_hints::SEE_GUIDE;

/// The reason why a template cannot be rendered with these members. `Display` shows file, line, column and a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// The template with the error, by its name in the template directory. It may be an included one.
    pub template: String,
    /// Line and column, from 1; `None` if Tera gives no position.
    pub position: Option<(usize, usize)>,
    /// The message, one line.
    pub message: String,
    /// The member with which the template cannot be rendered, if that is known.
    pub member: Option<NodePath>,
    /// The source line with a caret, and the includes that lead to it.
    snippet: Option<String>,
}

impl RenderError {
    pub fn from_tera(error: &Error, src: &Path) -> Self {
        match error.kind() {
            ErrorKind::RenderingError(report) | ErrorKind::SyntaxError(report) => {
                let message = message(report);
                // The first line of Tera's text is the message; the position and the source line follow.
                let snippet = error.to_string();
                let snippet = snippet.split_once('\n').map(|(_, snippet)| snippet.to_owned());
                let span = report.span();
                Self {
                    template: report.filename().to_owned(),
                    position: Some((span.start_line, span.start_col + 1)),
                    message,
                    member: None,
                    snippet,
                }
            }
            other => Self::without_position(src, &other.to_string()),
        }
    }

    pub fn without_position(src: &Path, message: &str) -> Self {
        Self {
            template: src.display().to_string(),
            position: None,
            message: message.to_owned(),
            member: None,
            snippet: None,
        }
    }
}

/// The message of Tera, with a hint for undefined variables.
fn message(report: &ReportError) -> String {
    match report.message() {
        "Tried to render a variable that is undefined" => {
            "undefined: a member lacks this field, or its name is misspelled; default(value=…) sets a fallback"
                .to_owned()
        }
        message if message.starts_with("`in` cannot be used on a container of type `undefined`") => {
            "undefined: `in` takes a list, a string or a map; write X in LIST | default(value=[])".to_owned()
        }
        message => message.to_owned(),
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(member) = &self.member {
            write!(f, "at member {member}: ")?;
        }
        match &self.snippet {
            Some(snippet) => write!(f, "{}\n{snippet}", self.message),
            None => write!(f, "{}: {}", self.template, self.message),
        }
    }
}

impl std::error::Error for RenderError {}

/// Converts the errors that Tera finds when it links templates: a block that no parent has, a component defined twice.
/// Tera gives them as text only: reports of `error: …` and `--> file:line:column`, separated by empty lines.
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

/// The byte offset of a line and a column, both from 1. Columns count characters.
fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let column = column.checked_sub(1)?;
    text.get(start..)?.char_indices().map(|(at, _)| start + at).chain([text.len()]).nth(column)
}
