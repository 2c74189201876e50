//! `[jones]`, and `[jones.check.SERVICE]`: checks of the views that an edit of a Jones service would change.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::command::{Command, command};
use super::jones_web::{JonesWeb, jones_web};
use super::keys::{JONES, JONES_CHECK};
use super::problem::ValueError;
use super::table::{Table, Value, single};
use super::{KeyConfig, KeyFormat, TemplateConfig};

/// `[jones]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JonesConfig {
    /// The agent adds changes that were made outside of the history to it, of the services of its keys.
    pub record: bool,
    /// The checks of views, by service.
    #[serde(skip)]
    pub checks: BTreeMap<String, JonesCheck>,
    /// What `rosterd jones serve` does.
    #[serde(skip)]
    pub web: JonesWeb,
}

/// The checks of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JonesCheck {
    /// A file with a JSON Schema that each view must match.
    pub schema: Option<PathBuf>,
    /// Runs on each view, in which `{{ src }}` is a file with it. A view is refused if it does not exit with 0.
    pub cmd: Option<Command>,
    /// The time limit of the command.
    pub timeout: Duration,
}

/// Resolves `[jones]`.
pub fn jones_config(tops: &[Table<'_>], keys: &[Arc<KeyConfig>]) -> JonesConfig {
    let Some(table) = single(tops, "jones").and_then(|value| value.section(&[&JONES])) else {
        return JonesConfig::default();
    };
    let record = table.get("record");
    let is_recording = record.as_ref().and_then(Value::boolean).unwrap_or_default();
    if let Some(record) = record.filter(|_| is_recording)
        && !keys.iter().any(|key| matches!(key.format, KeyFormat::Jones(_)))
    {
        let hint = "add a [[key]] with `jones` for each service to record, or remove `record`";
        record.reject(ValueError::new("there is no service to record", hint));
    }
    JonesConfig { record: is_recording, checks: checks(&table), web: jones_web(&table) }
}

/// The checks by service.
fn checks(table: &Table<'_>) -> BTreeMap<String, JonesCheck> {
    let Some(check) = table.get("check") else { return BTreeMap::new() };
    let Some(services) = check.map() else {
        check.reject_kind("a table of services", "[jones.check.\"pycon\"]");
        return BTreeMap::new();
    };
    let mut checks = BTreeMap::new();
    for service in services {
        let Some(table) = service.section(&[&JONES_CHECK]) else { continue };
        let schema = table.get("schema").and_then(|value| value.path("\"pycon.schema.json\""));
        let cmd = table.get("cmd").and_then(|value| command(&value));
        let timeout = table.get("timeout").and_then(|value| value.timeout("\"30s\""));
        if table.get("schema").is_none() && table.get("cmd").is_none() {
            let wrong = ValueError::new("a check needs `schema` or `cmd`", "write schema = \"pycon.schema.json\"");
            table.report.error(table.problem(wrong));
        }
        let timeout = timeout.unwrap_or(TemplateConfig::TIMEOUT);
        checks.insert(service.key.to_owned(), JonesCheck { schema, cmd, timeout });
    }
    checks
}
