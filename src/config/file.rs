//! Configuration files: their text and their permissions.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Uid;
use toml::Spanned;
use toml::de::DeTable;

use super::problem::{Problem, Report, ValueError, limit_syntax_errors, line_of};
use super::trust::{Trust, judged};

/// The maximum size of a configuration file, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// A configuration file.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// Its text.
    pub text: Arc<str>,
    /// The absolute directory that relative paths in it are resolved against.
    pub base: PathBuf,
    /// Whether this is the main file.
    pub main: bool,
}

impl Source {
    /// Reads a file. Problems go into the report; `None` if it cannot be read.
    pub fn read(file: &Path, main: bool, report: &Report) -> Option<Self> {
        let source = Self::readable(file, main, report);
        if source.is_none() {
            report.set_incomplete();
        }
        source
    }

    fn readable(file: &Path, main: bool, report: &Report) -> Option<Self> {
        let whole = |wrong| report.error(Problem::whole(file, wrong));
        let tried = |what: &str, error: std::io::Error| {
            let way = match error.kind() {
                std::io::ErrorKind::NotFound => "write one with `rosterd init`",
                _ => "make it readable by rosterd's user",
            };
            ValueError::new(
                format!("the configuration file cannot be {what}: {error}"),
                format!("{way}, or specify another file with -c FILE or $ROSTERD_CONFIG"),
            )
        };
        let absolute = std::path::absolute(file).map_err(|error| whole(tried("found", error))).ok()?;
        let bytes = read_bytes(file).map_err(|error| whole(tried("read", error))).ok()?;
        if bytes.len() as u64 > MAX_FILE {
            whole(ValueError::new("the configuration file is larger than 16 MiB", "is this the right file?"));
            return None;
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                report.error(Problem::not_utf8(file, &error, "TOML is UTF-8: save the file in that encoding"));
                return None;
            }
        };
        let base = absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
        Some(Self { file: file.to_owned(), text: Arc::from(text), base, main })
    }

    /// Parses the file as far as possible. Every syntax error goes into the report.
    pub fn parse(&self, report: &Report) -> Spanned<DeTable<'_>> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        for error in limit_syntax_errors(errors) {
            let span = error.span().unwrap_or(self.text.len()..self.text.len());
            let wrong = syntax_error(error.message(), span.is_empty());
            report.syntax(self.problem(span, wrong));
        }
        table
    }

    /// Creates a problem at a position in this file.
    pub fn problem(&self, span: Range<usize>, wrong: ValueError) -> Problem {
        let (file, text) = (self.file.clone(), self.text.clone());
        Problem { file, text, span, message: wrong.message, hint: wrong.hint }
    }

    /// Whether a byte is on a line that begins a table.
    pub fn is_header(&self, byte: usize) -> bool {
        let before = self.text.get(..byte).unwrap_or_default();
        before.rsplit('\n').next().unwrap_or_default().trim_start().starts_with('[')
    }

    /// A position for messages: `rosterd.toml:12`.
    pub fn place(&self, byte: usize) -> String {
        format!("{}:{}", self.file.display(), line_of(&self.text, byte))
    }
}

/// Rewrites an error of the TOML parser, with a hint.
fn syntax_error(message: &str, empty: bool) -> ValueError {
    let unquoted = message.starts_with("string values must be quoted");
    let (message, hint) = match message {
        "duplicate key" => ("duplicate key", "a key may appear only once: remove one"),
        _ if unquoted && empty => ("a value is missing", "write one after the ="),
        _ if unquoted => {
            ("this is not a value", "put text in quotes, as in \"text\"; a line has one key and one value")
        }
        message => {
            (message, "expected KEY = VALUE, [NAME] for a table, or [[NAME]] for an element of a list of tables")
        }
    };
    ValueError::new(message, hint)
}

/// Reads a file, up to one byte over the limit.
fn read_bytes(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Rejects a path that is writable by everyone, unless it is on a read-only mount or trusted: whoever can write it can
/// run commands. Without `trust`, it cannot be trusted. Returns a warning if the owner is neither root nor the current
/// user. A missing path is not an error here.
pub fn check_owner_and_mode(path: &Path, what: &str, trust: Option<&Trust>) -> Result<Option<String>, ValueError> {
    // /dev/null and pipes are writable by everyone by design.
    let Some(meta) = std::fs::metadata(judged(path)).ok().filter(|meta| meta.is_file() || meta.is_dir()) else {
        return Ok(None);
    };
    let shown = path.display();
    if meta.mode() & 0o002 != 0 {
        if trust.cloned().unwrap_or_default().excuses(path) {
            return Ok(None);
        }
        let more = if trust.is_some() { ", or add its directory to `trust` in [agent]" } else { "" };
        let hint = format!("chmod o-w {shown}, or mount it read-only{more}");
        return Err(ValueError::new(format!("{what} {shown} is writable by everyone"), hint));
    }
    let stranger = Some(meta.uid()).filter(|uid| *uid != 0 && *uid != Uid::effective().as_raw());
    Ok(stranger.map(|uid| {
        format!(
            "{what} {shown} belongs to user {uid}, who is neither root nor rosterd's user, but can change what \
             rosterd does"
        )
    }))
}

/// Runs [`check_owner_and_mode`] and reports the result; `refuse` adds the position.
pub fn check_permissions(path: &Path, what: &str, trust: Option<&Trust>, report: &Report, refuse: &dyn Fn(ValueError)) {
    match check_owner_and_mode(path, what, trust) {
        Ok(warning) => warning.into_iter().for_each(|warning| report.warn(warning)),
        Err(wrong) => refuse(wrong),
    }
}
