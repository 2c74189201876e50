//! `test`: renders templates with the members of test cases, and compares the files with what the cases expect.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::agent_commands::print;
use super::{DEFAULT_CONFIG, Global, wrong_config};
use crate::act::files::unified_diff;
use crate::agent::render::render_in_memory;
use crate::control::{FileResult, PassReport, PassRequest};
use crate::decide::Outcome;
use crate::error::{Exit, Fatal};
use crate::load::setup::{ConfigSource, Setup};
use crate::watch::saved::SavedSource;

use case::Case;

mod case;
#[cfg(test)]
mod tests;

/// The directory of the files with cases, beside the configuration.
const DIRECTORY: &str = "tests";

/// The time limit of one case.
const LIMIT: Duration = Duration::from_secs(30);

/// The command line of `test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The files with the cases [default: every .toml file in the directory tests, next to the configuration file]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What a template was rendered to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    File(Vec<u8>),
    /// There is no file, because a roster or key is held, for this reason.
    Held(String),
    /// It failed, for this reason.
    Failed(String),
}

/// Runs the cases of the files, and prints a line for each. Returns 1 if one of them fails.
pub async fn test(global: &Global, args: TestArgs) -> Result<Exit, Fatal> {
    let source = ConfigSource { is_offline: true, ..global.source(vec![]) };
    let files = if args.files.is_empty() { files(&source)? } else { args.files };
    let (mut passed, mut failed) = (0, 0);
    for file in &files {
        let wrong = |why: String| Fatal::new(Exit::Config, format!("{}: {why}", file.display()));
        for case in Case::read(file).map_err(wrong)? {
            let name = format!("{}: {}", file.display(), case.name);
            match run(&source, &case, file.parent().unwrap_or(Path::new(""))).await? {
                Ok(()) => {
                    passed += 1;
                    print(&format!("ok      {name}\n"))?;
                }
                Err(why) => {
                    failed += 1;
                    print(&format!("FAILED  {name}: {}\n", why.trim_end()))?;
                }
            }
        }
    }
    if passed + failed == 0 {
        return Err(Fatal::new(Exit::Config, "no test case was found: a file needs at least one [[case]]"));
    }
    print(&format!("{passed} passed, {failed} failed\n"))?;
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

/// The files of the directory beside the configuration, by name.
fn files(source: &ConfigSource) -> Result<Vec<PathBuf>, Fatal> {
    let config = source.file.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG));
    let directory = config.with_file_name(DIRECTORY);
    let entries = std::fs::read_dir(&directory).map_err(|why| {
        let message = format!("cannot read {}: {why}; name the files with the cases", directory.display());
        Fatal::new(Exit::Config, message)
    })?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    Ok(files)
}

/// Runs one case. The error of the inner result says why it fails.
async fn run(source: &ConfigSource, case: &Case, base: &Path) -> Result<Result<(), String>, Fatal> {
    let source = ConfigSource { vars: case.vars.clone(), ..source.clone() };
    // Never the real host: a case has the same result everywhere.
    let mut setup = Setup::load(&source, Some(&case.host())).map_err(|problems| wrong_config(&problems))?;
    setup.stateful = false;
    if !setup.unknown(std::slice::from_ref(&case.template)).is_empty() {
        let known: Vec<&str> = setup.config.templates.iter().map(|template| &*template.name).collect();
        let known = known.join(", ");
        return Ok(Err(format!("no template is named {}; known templates: {known}", case.template)));
    }
    let views = match case.views(&setup.config, base) {
        Ok(views) => views,
        Err(why) => return Ok(Err(why)),
    };
    let request = PassRequest::dry_run(vec![case.template.clone()], LIMIT);
    let saved = Arc::new(SavedSource { views, origin: "the case".to_owned() });
    let (report, mut files) = render_in_memory(&setup, &request, saved).await?;
    Ok(got(&report, &case.template, files.remove(&*case.template)).and_then(|got| judge(case, &got, base)))
}

fn got(report: &PassReport, template: &str, file: Option<Vec<u8>>) -> Result<Got, String> {
    let result = report.files.iter().find(|(name, ..)| **name == *template).map(|(_, _, result)| result);
    match (result, file) {
        (Some(FileResult::Published(Outcome::Failed(failure))), _) => Ok(Got::Failed(failure.message.clone())),
        (Some(FileResult::Published(_)), Some(file)) => Ok(Got::File(file)),
        (Some(FileResult::Held(_)), _) => {
            let reasons: Vec<&str> = report.holds.iter().map(|(_, _, reason, _)| reason.as_str()).collect();
            Ok(Got::Held(reasons.join("; ")))
        }
        (Some(FileResult::NoKey), _) => Err(format!("{template}: the key does not exist or has no members")),
        (None, _) => Err(format!("{template} has a file for each key: write template = \"{template}[KEY]\"")),
        (Some(_), _) => Err(format!("{template} was not rendered within {}", humantime::format_duration(LIMIT))),
    }
}

/// Compares what was rendered with what the case expects.
fn judge(case: &Case, got: &Got, base: &Path) -> Result<(), String> {
    let bytes = match (got, &case.hold, &case.error) {
        (Got::Held(reason), Some(wanted), _) | (Got::Failed(reason), _, Some(wanted)) => {
            let is_wanted = wanted.matches(reason);
            return is_wanted.then_some(()).ok_or_else(|| format!("expected {wanted:?}, but the reason is: {reason}"));
        }
        (Got::Held(reason), None, _) => return Err(format!("held: {reason}")),
        (Got::Failed(reason), _, None) => return Err(reason.clone()),
        (Got::File(bytes), Some(_), _) => {
            return Err(format!("expected a hold, but it was rendered:\n{}", Text(bytes)));
        }
        (Got::File(bytes), _, Some(_)) => {
            return Err(format!("expected an error, but it was rendered:\n{}", Text(bytes)));
        }
        (Got::File(bytes), None, None) => bytes,
    };
    if let Some(expected) = case.expected(base)? {
        let diff = unified_diff(Some(&expected), bytes, Path::new(&case.template));
        if !diff.is_empty() {
            let lines: String = diff
                .split_inclusive('\n')
                .skip_while(|line| line.starts_with("--- ") || line.starts_with("+++ "))
                .collect();
            return Err(format!("the file differs\n--- expected\n+++ rendered\n{lines}"));
        }
    }
    let text = String::from_utf8_lossy(bytes);
    if let Some(missing) = case.contains.iter().find(|part| !text.contains(*part)) {
        return Err(format!("the file does not contain {missing:?}:\n{}", Text(bytes)));
    }
    if let Some(present) = case.lacks.iter().find(|part| text.contains(*part)) {
        return Err(format!("the file contains {present:?}:\n{}", Text(bytes)));
    }
    Ok(())
}

/// A rendered file in a message.
struct Text<'a>(&'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}
