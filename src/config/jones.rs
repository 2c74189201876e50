//! `[[key]]` with `jones`: what this host reads of a service of Jones.

use std::sync::Arc;

use crate::jones::path::Service;
use crate::model::node_path::Subject;

use super::interpolate::Interpolation;
use super::problem::ValueError;
use super::table::{Table, Value};
use super::{Config, KeyConfig, KeyFormat, Unmapped};

const EXAMPLE: &str = "\"pycon\"";

/// The keys that a `[[key]]` has only with `jones`.
const ONLY_WITH_JONES: [&str; 2] = ["host", "unmapped"];

/// The keys that it has only without.
const ONLY_WITHOUT_JONES: [&str; 2] = ["path", "format"];

/// The name of the service, what to follow, and its format; `None` if the service or the host is invalid, which has been
/// reported.
pub fn jones(table: &Table<'_>, value: &Value<'_>, fill: &Interpolation<'_>) -> Option<(String, Subject, KeyFormat)> {
    for written in ONLY_WITHOUT_JONES.into_iter().filter_map(|key| table.get(key)) {
        let hint =
            format!("remove `{}`: nodemaps of the service names the node, which holds a JSON object", written.key);
        written.reject(ValueError::new(format!("a [[key]] with `jones` has no `{}`", written.key), hint));
    }
    let name = value.filled(fill, EXAMPLE)?;
    let service = value.accept(Service::parse(&name).map_err(|why| {
        ValueError::new(format!("{name:?} is not the name of a service: {why}"), format!("write jones = {EXAMPLE}"))
    }));
    let host = match table.get("host") {
        // The load fills it in: to find out the full name takes time.
        None => Some(String::new()),
        Some(host) if host.raw().as_str().is_some_and(|text| text.replace(' ', "") == "{{host.fqdn}}") => {
            Some(String::new())
        }
        Some(host) => host.filled(fill, "\"{{ host.fqdn }}\""),
    };
    let choices = [("root", Unmapped::Root), ("hold", Unmapped::Hold)];
    let unmapped = table.get("unmapped").and_then(|value| value.choice(&choices)).unwrap_or(Unmapped::Root);
    let subject = Subject::Mapped { service: service?.path(), host: Arc::from(host?) };
    Some((name, subject, KeyFormat::Jones(unmapped)))
}

/// Reports the keys that require `jones`.
pub fn reject_without_jones(table: &Table<'_>) {
    for written in ONLY_WITH_JONES.into_iter().filter_map(|key| table.get(key)) {
        let hint = format!("add jones = {EXAMPLE} in place of path and format, or remove `{}`", written.key);
        written.reject(ValueError::new(format!("`{}` needs `jones`", written.key), hint));
    }
}

impl Config {
    /// Sets the host of the keys of Jones that have none. `fqdn`, the full name of this host, is called if there is one.
    pub fn set_jones_host(&mut self, fqdn: impl Fn() -> String) {
        for key in &mut self.keys {
            if let Subject::Mapped { service, host } = &key.subject
                && host.is_empty()
            {
                let subject = Subject::Mapped { service: service.clone(), host: Arc::from(fqdn()) };
                *key = Arc::new(KeyConfig { subject, ..KeyConfig::clone(key) });
            }
        }
    }
}
