//! Puts the configuration and the templates of a migration together.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::convert::{Context, convert};
use super::site::{Site, quoted};
use super::{Migration, Report};

/// The configuration so far.
#[derive(Debug, Default)]
pub struct Output {
    /// What templates read.
    pub site: Site,
    /// The report, and the templates.
    pub migration: Migration,
    /// The text of `[[template]]` and other tables at the end.
    pub tables: String,
    names: BTreeSet<String>,
}

impl Output {
    /// The report.
    pub fn report(&mut self) -> &mut Report {
        &mut self.migration.report
    }

    /// Converts the text of a template. Returns its name below templates/.
    pub fn template(&mut self, name: &str, text: &str, context: &Context<'_>) -> String {
        let file = Path::new(name).file_name().map_or("template".into(), |name| name.to_string_lossy());
        let stem = [".tmpl", ".ctmpl", ".tpl"].iter().find_map(|end| file.strip_suffix(end)).unwrap_or(&file);
        let mut name = format!("{stem}.tera");
        let mut number = 1;
        while !self.names.insert(name.clone()) {
            number += 1;
            name = format!("{stem}-{number}.tera");
        }
        let text = convert(text, context, &mut self.site, &mut self.migration.report);
        self.migration.add(Path::new("templates").join(&name), text);
        name
    }

    /// Adds a key and its value, which is TOML.
    pub fn entry(&mut self, key: &str, value: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.tables, "{key} = {value}");
    }

    /// The result. `from` is the tool, and `registry` the URL of the registry.
    pub fn finish(mut self, from: &str, registry: &str) -> Migration {
        let head = format!("# Migrated from {from} by `rosterd migrate`: REPORT.md says what is left to do.\n");
        let registry = format!("\n[registry]\nurl = {}\n", quoted(registry));
        let text = head + &registry + &self.site.to_toml() + &self.tables;
        for line in self.site.shown() {
            self.migration.report.converted(line);
        }
        self.migration.add("rosterd.toml", text);
        self.migration
    }
}
