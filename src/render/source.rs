//! Template files. Each is read once a load.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tera::{ErrorKind, Tera};

use crate::config::Problem;
use crate::payload::without_bom;
use crate::text::backup::is_backup;

use super::syntax_hints::syntax_hint;
use super::uses::Uses;

/// The maximum depth of the search for names and components.
const MAX_DEPTH: usize = 16;

/// A template file with valid syntax.
#[derive(Debug)]
pub struct Source {
    /// The name for Tera: the path in the template directory, or an absolute path.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
    /// The names that it uses.
    pub uses: Uses,
}

impl Source {
    /// Creates a problem at a position in this file.
    pub fn problem(&self, span: std::ops::Range<usize>, message: impl Into<String>, hint: Option<String>) -> Problem {
        Problem { file: self.path.clone(), text: Arc::clone(&self.text), span, message: message.into(), hint }
    }
}

/// The reason why a [`Source`] cannot be read.
#[derive(Debug, Clone)]
pub enum SourceError {
    /// The file cannot be read.
    Unreadable(String),
    /// The syntax is invalid.
    Syntax(Problem),
}

/// The files under the template directory.
pub struct Sources {
    dir: PathBuf,
    read: BTreeMap<String, Result<Arc<Source>, SourceError>>,
    listed: Option<BTreeSet<String>>,
    components: Option<BTreeMap<String, BTreeSet<String>>>,
}

impl Sources {
    /// Creates the set. It reads no file yet.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), read: BTreeMap::new(), listed: None, components: None }
    }

    /// The template directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of the file with this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Returns the template with this name. The first call reads and parses it.
    pub fn get(&mut self, name: &str) -> Result<Arc<Source>, SourceError> {
        if let Some(known) = self.read.get(name) {
            return known.clone();
        }
        let source = read(name, self.path(name)).map(Arc::new);
        self.read.insert(name.to_owned(), source.clone());
        source
    }

    /// The names of all files in the template directory.
    pub fn names(&mut self) -> &BTreeSet<String> {
        let dir = &self.dir;
        self.listed.get_or_insert_with(|| {
            let mut names = BTreeSet::new();
            list(dir, "", MAX_DEPTH, &mut names);
            names
        })
    }

    /// The files in the template directory that define a component.
    pub fn defining(&mut self, component: &str) -> BTreeSet<String> {
        if self.components.is_none() {
            let mut index: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for name in self.names().clone() {
                // A file with a syntax error is included, so that its own problem is reported.
                let Ok(text) = text(&self.path(&name)) else { continue };
                if text.contains("component") {
                    for component in Uses::of(&text).components.into_keys() {
                        index.entry(component).or_default().insert(name.clone());
                    }
                }
            }
            self.components = Some(index);
        }
        self.components.as_ref().and_then(|index| index.get(component)).cloned().unwrap_or_default()
    }

    /// The names of all components in the template directory.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.components.iter().flat_map(BTreeMap::keys).map(String::as_str)
    }
}

/// Converts a path to a template name: relative, separated by `/`, without `.` and `..`.
pub fn plain(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path
        .components()
        .map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect();
    parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join("/"))
}

/// Lists files recursively. Unreadable directories, hidden files and backups are skipped.
fn list(dir: &Path, prefix: &str, depth: usize, names: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let (Ok(kind), Ok(seen)) = (entry.file_type(), fs::metadata(entry.path())) else { continue };
        if name.starts_with('.') || is_backup(&name) {
            continue;
        }
        // Links to directories are not followed: they may form a cycle.
        if kind.is_dir() && depth > 0 {
            list(&entry.path(), &format!("{prefix}{name}/"), depth - 1, names);
        } else if seen.is_file() {
            names.insert(format!("{prefix}{name}"));
        }
    }
}

fn text(path: &Path) -> Result<String, SourceError> {
    let unreadable = |error: std::io::Error| SourceError::Unreadable(error.to_string());
    let meta = fs::metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        let what = if meta.is_dir() { "it is a directory" } else { "it is not a regular file" };
        return Err(SourceError::Unreadable(what.to_owned()));
    }
    let not_utf8 = |error| Problem::not_utf8(path, &error, "save the template as UTF-8");
    let text = String::from_utf8(fs::read(path).map_err(unreadable)?);
    let text = text.map_err(|error| SourceError::Syntax(not_utf8(error)))?;
    Ok(without_bom(&text).to_owned())
}

fn read(name: &str, path: PathBuf) -> Result<Source, SourceError> {
    let text: Arc<str> = text(&path)?.into();
    if let Err(error) = Tera::new().add_raw_template(name, &text)
        && let ErrorKind::SyntaxError(report) = error.kind()
    {
        // At the end of the input, Tera's byte span is that of the last token.
        let at_end = report.message() == "Unexpected end of input";
        let span = if at_end { text.len()..text.len() } else { report.span().range.clone() };
        let hint = Some(syntax_hint(report.message(), &text, &span));
        let message = report.message().to_owned();
        return Err(SourceError::Syntax(Problem { file: path, text, span, message, hint }));
    }
    let uses = Uses::of(&text);
    Ok(Source { name: name.to_owned(), path, text, uses })
}
