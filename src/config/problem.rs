//! Problems in configuration and template files, with their positions.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use thiserror::Error;

/// The maximum number of syntax errors reported for a file: more would hide the other problems.
const MAX_SYNTAX: usize = 10;

/// A problem with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// The text of the file; empty if it could not be read.
    pub text: Arc<str>,
    /// The byte range of `text` to mark.
    pub span: Range<usize>,
    /// The message, with the value in it: "`min` (5) is greater than `max` (3)".
    pub message: String,
    /// The hint: "write min = 3 or less, or remove max".
    pub hint: Option<String>,
}

/// Every problem of a load, ordered by file and position; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// An invalid value, without its position.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ValueError {
    /// The message.
    pub message: String,
    /// The hint.
    pub hint: Option<String>,
}

impl ValueError {
    /// Creates an error with a message and a hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

impl Problem {
    /// A problem with a whole file, or with something outside of files.
    pub fn whole(file: impl Into<PathBuf>, wrong: ValueError) -> Self {
        Self { file: file.into(), text: Arc::from(""), span: 0..0, message: wrong.message, hint: wrong.hint }
    }

    /// A file that is not UTF-8, marked at its first invalid byte; such bytes are shown as U+FFFD.
    pub fn not_utf8(file: impl Into<PathBuf>, error: &FromUtf8Error, hint: &str) -> Self {
        let text: Arc<str> = String::from_utf8_lossy(error.as_bytes()).into();
        let at = error.utf8_error().valid_up_to();
        let span = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
        Self { file: file.into(), text, span, message: "these bytes are not UTF-8".into(), hint: Some(hint.into()) }
    }

    /// The line number, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        line_of(&self.text, self.span.start)
    }

    /// Position, message and hint in one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}:{}: {}{hint}", self.file.display(), self.line(), self.message)
    }

    /// Formats it: message, position, source line with carets, hint.
    #[must_use]
    pub fn draw(&self, color: bool) -> String {
        let path = self.file.to_string_lossy();
        let title = Level::ERROR.primary_title(&*self.message);
        let mut group = if self.text.is_empty() {
            title.element(Origin::path(path))
        } else {
            let mark = AnnotationKind::Primary.span(within(&self.text, &self.span));
            title.element(Snippet::source(&*self.text).path(path).annotation(mark))
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(&**hint));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }
}

impl Problems {
    /// Formats all problems and their number.
    #[must_use]
    pub fn draw(&self, color: bool) -> String {
        let mut parts: Vec<String> = self.0.iter().map(|problem| problem.draw(color)).collect();
        let number = self.0.len();
        parts.push(format!("{number} problem{}", if number == 1 { "" } else { "s" }));
        parts.join("\n\n")
    }
}

impl fmt::Display for Problems {
    /// Without colour.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.draw(false))
    }
}

impl std::error::Error for Problems {}

/// The line number of a byte, from 1.
pub fn line_of(text: &str, byte: usize) -> usize {
    1 + text[..text.floor_char_boundary(byte)].matches('\n').count()
}

/// Limits a span to the text and to whole characters, so that formatting cannot panic.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end).max(start);
    // Only the first line of a longer span is marked.
    let line_end = text[start..end].find('\n').map_or(end, |at| start + at);
    start..line_end
}

/// The kind of a problem. It decides whether the problem is dropped because of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A TOML syntax error.
    Syntax,
    /// Something is missing or misplaced. Dropped if there is a syntax error, which may be the cause.
    Structure,
    /// Any other problem. Dropped on a line with a syntax error.
    Value,
}

/// Collects problems and warnings while a configuration is read.
#[derive(Debug, Default)]
pub struct Report {
    problems: RefCell<Vec<(Kind, Problem)>>,
    warnings: RefCell<Vec<String>>,
    incomplete: Cell<bool>,
}

impl Report {
    /// Adds a syntax error.
    pub fn syntax(&self, problem: Problem) {
        self.set_incomplete();
        self.problems.borrow_mut().push((Kind::Syntax, problem));
    }

    /// Adds a problem with something missing or misplaced.
    pub fn structure(&self, problem: Problem) {
        self.problems.borrow_mut().push((Kind::Structure, problem));
    }

    /// Adds any other problem.
    pub fn error(&self, problem: Problem) {
        self.problems.borrow_mut().push((Kind::Value, problem));
    }

    /// Records that a part which may define names for templates is unreadable.
    pub fn set_incomplete(&self) {
        self.incomplete.set(true);
    }

    /// Whether names for templates may be missing.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete.get()
    }

    /// Adds a warning.
    pub fn warn(&self, warning: String) {
        self.warnings.borrow_mut().push(warning);
    }

    /// Returns the warnings, or every relevant problem, ordered by file (as in `files`) and position.
    pub fn finish(self, files: &[PathBuf]) -> Result<Vec<String>, Problems> {
        let all = self.problems.into_inner();
        let broken: BTreeSet<(PathBuf, usize)> =
            all.iter().filter(|(kind, _)| *kind == Kind::Syntax).map(|(_, p)| (p.file.clone(), p.line())).collect();
        let mut told: Vec<Problem> = all
            .into_iter()
            .filter(|(kind, problem)| match kind {
                Kind::Syntax => true,
                Kind::Structure => broken.is_empty(),
                Kind::Value => !broken.contains(&(problem.file.clone(), problem.line())),
            })
            .map(|(_, problem)| problem)
            .collect();
        if told.is_empty() {
            return Ok(self.warnings.into_inner());
        }
        let rank = |file: &Path| files.iter().position(|known| known == file);
        told.sort_by(|a, b| {
            let key = |p: &Problem| (rank(&p.file), p.span.start, p.span.end);
            key(a).cmp(&key(b)).then_with(|| a.file.cmp(&b.file))
        });
        told.dedup();
        Err(Problems(told))
    }
}

/// Limits the number of syntax errors of a file.
pub fn limit_syntax_errors<T>(errors: Vec<T>) -> impl Iterator<Item = T> {
    errors.into_iter().take(MAX_SYNTAX)
}
