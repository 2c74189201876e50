//! What is wrong in a file that a person wrote, at its place.

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

/// How many syntax errors of one file are told: after that many it is no TOML at all, and more would bury the rest.
const MAX_SYNTAX: usize = 10;

/// One problem: the file, the bytes of it that are wrong, what is wrong with them, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// The file's whole text; empty where it could not be read.
    pub text: Arc<str>,
    /// The bytes of `text` to point at.
    pub span: Range<usize>,
    /// What is wrong, with the value in it: "min (5) is over max (3)".
    pub message: String,
    /// What to do: "write min = 3 or less, or leave max out".
    pub hint: Option<String>,
}

/// Every problem of one load, in the order of file and place; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// What is wrong with one text, before it is known where that text stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ValueError {
    /// What is wrong, with the text in it.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl ValueError {
    /// What is wrong, and what to write instead.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

impl Problem {
    /// A problem with a file as a whole, or with something that stands in no file.
    pub fn whole(file: impl Into<PathBuf>, wrong: ValueError) -> Self {
        Self { file: file.into(), text: Arc::from(""), span: 0..0, message: wrong.message, hint: wrong.hint }
    }

    /// A file that holds something else than text, at the first byte that is none; shown with U+FFFD for such bytes.
    pub fn not_utf8(file: impl Into<PathBuf>, error: &FromUtf8Error, hint: &str) -> Self {
        let text: Arc<str> = String::from_utf8_lossy(error.as_bytes()).into();
        let at = error.utf8_error().valid_up_to();
        let span = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
        Self { file: file.into(), text, span, message: "these bytes are not UTF-8".into(), hint: Some(hint.into()) }
    }

    /// The line that it begins on, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        line_of(&self.text, self.span.start)
    }

    /// Draws it: the message, the place, the line with carets under what is wrong, and the hint.
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
    /// Draws all of them, and says at the end how many there are.
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

/// The line that a byte is on, from 1.
pub fn line_of(text: &str, byte: usize) -> usize {
    1 + text[..text.floor_char_boundary(byte)].matches('\n').count()
}

/// The span, kept within the text and on whole characters: the drawing must not fail on any span.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end).max(start);
    // Of what spans lines only the first is marked: a caret at a place, and not a frame around a table.
    let line_end = text[start..end].find('\n').map_or(end, |at| start + at);
    start..line_end
}

/// Why a problem is told, which says what makes it void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The text is no TOML.
    Syntax,
    /// Something is not there, or where it should not be; void where a syntax error may have moved it.
    Structure,
    /// All else; void on the line of a syntax error, which is the cause.
    Value,
}

/// Collects what is wrong while a configuration is read.
#[derive(Debug, Default)]
pub struct Report {
    problems: RefCell<Vec<(Kind, Problem)>>,
    warnings: RefCell<Vec<String>>,
    incomplete: Cell<bool>,
}

impl Report {
    /// The text is no TOML.
    pub fn syntax(&self, problem: Problem) {
        self.set_incomplete();
        self.problems.borrow_mut().push((Kind::Syntax, problem));
    }

    /// Something that must be there is not, or stands where nothing like it may.
    pub fn structure(&self, problem: Problem) {
        self.problems.borrow_mut().push((Kind::Structure, problem));
    }

    /// Something is wrong.
    pub fn error(&self, problem: Problem) {
        self.problems.borrow_mut().push((Kind::Value, problem));
    }

    /// What may have named something for the templates could not be made out.
    pub fn set_incomplete(&self) {
        self.incomplete.set(true);
    }

    /// Whether there may be names for the templates that could not be made out.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete.get()
    }

    /// Something that works, and should not stay so.
    pub fn warn(&self, warning: String) {
        self.warnings.borrow_mut().push(warning);
    }

    /// The warnings, or every problem worth telling by file and place; files in the order that `files` has.
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

/// The syntax errors of one file that are worth telling.
pub fn limit_syntax_errors<T>(errors: Vec<T>) -> impl Iterator<Item = T> {
    errors.into_iter().take(MAX_SYNTAX)
}
