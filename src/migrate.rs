//! `rosterd migrate`: the configuration and the templates of confd, consul-template and zk_watcher as those of rosterd.
//!
//! A migration reads and never changes what it migrates. Its result is a [`Migration`]: the files to write, and a
//! [`Report`] of what was converted and what a person has to do. Templates are parsed as Go parses them
//! ([`go_template`]), and each construct is either replaced by one of Tera with the same output, or kept as a comment.

use std::path::PathBuf;

pub mod confd;
pub mod consul_template;
mod convert;
pub mod files;
pub mod go_template;
mod hcl;
mod output;
mod report;
mod site;
#[cfg(test)]
mod tests;
pub mod zk_watcher;

pub use report::Report;

/// A file of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// Its path below the output directory.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
    /// Whether only its owner may read it.
    pub is_secret: bool,
}

/// The result of a migration.
#[derive(Debug, Default)]
pub struct Migration {
    /// The configuration and what it needs.
    pub files: Vec<OutputFile>,
    /// What was converted, and what is left.
    pub report: Report,
}

impl Migration {
    /// Adds a file that everyone may read.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) {
        self.files.push(OutputFile { path: path.into(), text: text.into(), is_secret: false });
    }
}

/// What the command line says about a migration.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--registry`.
    pub registry: Option<String>,
    /// `--prefix`: confd's option of that name, or the path above consul-template's services.
    pub prefix: Option<String>,
}

/// Any text as a template: the result is valid in Tera, whatever is left to do.
#[cfg(any(test, fuzzing))]
pub fn any_template(text: &str) {
    for dialect in [convert::Dialect::Confd, convert::Dialect::ConsulTemplate] {
        let (mut site, mut report) = (site::Site::default(), Report::default());
        let services = "/services".to_owned();
        let context =
            convert::Context { dialect, prefix: String::new(), services, file: "t", delimiters: ("{{", "}}") };
        let out = convert::convert(text, &context, &mut site, &mut report);
        let wrong = crate::render::syntax_error(&out);
        assert!(wrong.is_none(), "{text}\n{out}\n{wrong:?}");
        assert_eq!(
            out.contains("rosterd migrate: "),
            !report.todo.is_empty() || text.contains("rosterd migrate: "),
            "{out}"
        );
        assert!(site.to_toml().parse::<toml::Table>().is_ok(), "{}", site.to_toml());
    }
}

/// Any text as a configuration of consul-template.
#[cfg(any(test, fuzzing))]
pub fn any_configuration(text: &str) {
    if let Err((line, why)) = hcl::parse(text) {
        assert!(line > 0 && !why.is_empty());
    }
}
