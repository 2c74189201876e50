//! `[jones.check.SERVICE]`: checks of the views that an edit of a Jones service would change.

use std::collections::BTreeMap;
use std::time::Duration;

use super::TemplateConfig;
use super::command::{Command, command};
use super::keys::{JONES, JONES_CHECK};
use super::table::{Table, single};

/// The checks of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JonesCheck {
    /// Runs on each view, in which `{{ src }}` is a file with it. A view is refused if it does not exit with 0.
    pub cmd: Command,
    /// Its time limit.
    pub timeout: Duration,
}

/// The checks by service.
pub fn jones_checks(tops: &[Table<'_>]) -> BTreeMap<String, JonesCheck> {
    let table = single(tops, "jones").and_then(|value| value.section(&[&JONES]));
    let Some(check) = table.as_ref().and_then(|table| table.get("check")) else { return BTreeMap::new() };
    let Some(services) = check.map() else {
        check.reject_kind("a table of services", "[jones.check.\"pycon\"]");
        return BTreeMap::new();
    };
    let mut checks = BTreeMap::new();
    for service in services {
        let Some(table) = service.section(&[&JONES_CHECK]) else { continue };
        let cmd = table.require("cmd", "\"check-jsonschema --schemafile pycon.schema.json {{ src }}\"");
        let timeout = table.get("timeout").and_then(|value| value.timeout("\"30s\""));
        if let Some(cmd) = cmd.and_then(|value| command(&value)) {
            let timeout = timeout.unwrap_or(TemplateConfig::TIMEOUT);
            checks.insert(service.key.to_owned(), JonesCheck { cmd, timeout });
        }
    }
    checks
}
