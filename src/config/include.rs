//! `include`: the files of the configuration besides the main one.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern, glob_with};

use crate::text::backup::is_backup;

use super::file::Source;
use super::problem::{Report, ValueError};
use super::table::Table;

/// The default: `include = ["conf.d/*.toml"]`.
pub const DEFAULT_INCLUDE: &str = "conf.d/*.toml";

/// The files that the main file includes, sorted and without duplicates.
pub fn included(main: &Source, top: &Table<'_>, report: &Report) -> Vec<Source> {
    let mut files: Vec<PathBuf> = Vec::new();
    if let Some(list) = top.get("include") {
        for item in list.items(&format!("[{DEFAULT_INCLUDE:?}]")).unwrap_or_default() {
            let Some(pattern) = item.text(&format!("[{DEFAULT_INCLUDE:?}]")) else {
                report.set_incomplete();
                continue;
            };
            let found = item.accept(matching(&main.file, pattern)).unwrap_or_else(|| {
                report.set_incomplete();
                Vec::new()
            });
            if found.is_empty() && !pattern.contains(['*', '?', '[']) {
                item.reject(ValueError::new(
                    format!("the included file {pattern:?} does not exist"),
                    "create it, or write a pattern with *, which need not match any file",
                ));
                report.set_incomplete();
            }
            files.extend(found);
        }
    } else if let Ok(found) = matching(&main.file, DEFAULT_INCLUDE) {
        files.extend(found);
    }
    files.sort();
    files.dedup();
    let itself = std::path::absolute(&main.file).ok();
    files.retain(|file| std::path::absolute(file).ok() != itself);
    files.iter().filter_map(|file| Source::read(file, false, report)).collect()
}

/// The files that match a pattern, without backups unless the pattern asks for them. A relative pattern starts at the directory of the main file.
fn matching(main: &Path, pattern: &str) -> Result<Vec<PathBuf>, ValueError> {
    // Special characters in the name of the directory are literal.
    let directory = Pattern::escape(&main.parent().unwrap_or(Path::new("")).to_string_lossy());
    let whole = if pattern.starts_with('/') || directory.is_empty() {
        pattern.to_owned()
    } else {
        format!("{directory}/{pattern}")
    };
    let options =
        MatchOptions { require_literal_separator: true, require_literal_leading_dot: true, ..MatchOptions::new() };
    let refused = |what: String| ValueError::new(what, "write a path; a * in it matches any part of a name");
    let found = glob_with(&whole, options)
        .map_err(|error| refused(format!("{pattern:?} is not a valid pattern: {}", error.msg)))?;
    let mut files = Vec::new();
    for entry in found {
        match entry {
            Ok(file) if file.is_dir() => {}
            Ok(file) if !is_backup(pattern) && file.file_name().is_some_and(|it| is_backup(&it.to_string_lossy())) => {}
            Ok(file) => files.push(file),
            Err(error) => {
                let (path, error) = (error.path().display().to_string(), error.error());
                let hint = format!("allow rosterd's user to list {path}");
                return Err(ValueError::new(format!("the included {path} cannot be read: {error}"), hint));
            }
        }
    }
    Ok(files)
}
