//! zk_watcher: its INI file as `[[service]]` tables that register the same.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::site::quoted;
use super::{Migration, OutputFile, files};
use crate::config::zk_watcher::{SERVER, read};
use crate::config::{Check, Command, Overrides, ServiceConfig};

/// The file with the credentials.
const CREDENTIALS: &str = "zk.auth";

/// Migrates a configuration file.
///
/// # Errors
/// The file cannot be read, or every problem in it.
pub fn migrate(file: &Path, overrides: &Overrides) -> Result<Migration, String> {
    let text: Arc<str> = files::read(file)?.into();
    let config = read(file, &text, SERVER, true, overrides).map_err(|problems| problems.to_string())?;
    let shown = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    let mut migration = Migration::default();
    let mut out = "# Migrated from zk_watcher by `rosterd migrate`: REPORT.md says what is left to do.\n".to_owned();
    for registry in &config.registries {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\n[registry]\nurl = {}", quoted(&registry.url.to_string()));
        for auth in &registry.auth {
            let _ = writeln!(out, "auth = [{{ scheme = {}, file = \"{CREDENTIALS}\" }}]", quoted(&auth.scheme));
            let text = format!("{}\n", String::from_utf8_lossy(&auth.secret));
            migration.files.push(OutputFile { path: CREDENTIALS.into(), text, is_secret: true });
            migration.report.converted(format!("{shown}: [auth] is {CREDENTIALS}"));
        }
    }
    for service in &config.services {
        let line = service.place.as_ref().map_or(0, |place| place.line());
        let table = table(service);
        if table.contains("{{") || table.contains("{%") {
            let text = format!("[{}] has {{{{, which begins a variable in rosterd's configuration", service.name);
            migration.report.todo(&shown, line, text);
        }
        out.push_str(&table);
        migration.report.converted(format!("{shown}:{line}: [{0}] is [[service]] `{0}`", service.name));
    }
    if overrides.registry.is_none() {
        let note =
            format!("zk_watcher's servers are an option of its command line: [registry] url is its default, {SERVER}");
        migration.report.check(&shown, 0, note);
    }
    migration.add("rosterd.toml", out);
    Ok(migration)
}

/// A service as TOML.
fn table(service: &ServiceConfig) -> String {
    let mut out =
        format!("\n[[service]]\nname = {}\npath = {}\n", quoted(&service.name), quoted(service.path.as_ref()));
    let mut entry = |key: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{key} = {value}");
    };
    if let Some(host) = &service.host {
        entry("host", quoted(host));
    }
    entry("port", service.port.to_string());
    if !service.data.entries().is_empty() {
        entry("data", quoted(&service.data.to_json()));
    }
    if let Check::Cmd(Command::Exec(words)) = &service.check {
        entry("check", format!("{{ cmd = {} }}", toml::Value::from(words.clone())));
    }
    entry("interval", quoted(&format!("{}s", service.interval.as_secs())));
    entry("timeout", quoted(&format!("{}s", service.timeout.as_secs())));
    entry("fall", service.fall.to_string());
    out
}
