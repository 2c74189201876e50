//! `verify_cmd` and `on_reload_failure`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::command::{Command, command, shell_path};
use super::problem::ValueError;
use super::table::Table;
use super::{OnReloadFailure, TemplateConfig};

/// The command that verifies a reload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Verify {
    /// Runs after a successful reload, with `{{ dest }}` substituted. If it fails, the reload has failed.
    pub command: Command,
    /// Its time limit.
    pub timeout: Duration,
}

impl Verify {
    /// Substitutes the placeholders. After the replacement, `{{ src }}` is the destination too.
    #[must_use]
    pub fn filled(&self, dest: &Path) -> Self {
        Self { command: self.command.fill_dest(dest), timeout: self.timeout }
    }
}

/// Reads `verify_cmd`. `dest` is a sample destination, for checks of its characters.
pub fn verify(table: &Table<'_>, dest: Option<&Path>) -> Option<Verify> {
    let timeout = table.get("verify_timeout").and_then(|value| value.timeout("\"30s\""));
    let value = table.get("verify_cmd")?;
    let command = command(&value)?;
    if let Some(dest) = dest {
        value.accept(shell_path(&command, "verify_cmd", dest));
    }
    needs_reload(table, "verify_cmd");
    Some(Verify { command, timeout: timeout.unwrap_or(TemplateConfig::TIMEOUT) })
}

/// Reads `on_reload_failure`.
pub fn on_reload_failure(table: &Table<'_>) -> OnReloadFailure {
    let choices = [("retry", OnReloadFailure::Retry), ("rollback", OnReloadFailure::Rollback)];
    let chosen = table.get("on_reload_failure").and_then(|value| value.choice(&choices));
    let chosen = chosen.unwrap_or(OnReloadFailure::Retry);
    if chosen == OnReloadFailure::Rollback {
        needs_reload(table, "on_reload_failure");
        if let (Some(_), Some(value)) = (table.get("block"), table.get("on_reload_failure")) {
            let hint = "remove one of them: restoring the whole file would undo what other programs wrote to it in the meantime";
            value.reject(ValueError::new("on_reload_failure = \"rollback\" cannot be combined with `block`", hint));
        }
    }
    chosen
}

/// If one template of a unit is rolled back, all of its templates are.
pub fn roll_back_as_one(templates: &mut [TemplateConfig]) {
    let back = templates.iter().filter(|template| template.on_reload_failure == OnReloadFailure::Rollback);
    let units: BTreeSet<Arc<str>> = back.filter_map(|template| template.unit.clone()).collect();
    for template in templates {
        if template.unit.as_ref().is_some_and(|unit| units.contains(unit)) {
            template.on_reload_failure = OnReloadFailure::Rollback;
        }
    }
}

/// Rejects a key that has no effect without `reload_cmd`.
fn needs_reload(table: &Table<'_>, key: &'static str) {
    if let (None, Some(value)) = (table.get("reload_cmd"), table.get(key)) {
        let hint = format!("add a reload_cmd, or remove `{key}`");
        value.reject(ValueError::new(format!("`{key}` needs `reload_cmd`"), hint));
    }
}
