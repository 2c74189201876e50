//! `[[lock]]`: a lock of kazoo that the agent contends for while it runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::interpolate::Interpolation;
use super::keys::LOCK;
use super::names::Names;
use super::problem::ValueError;
use super::registry::Registries;
use super::service::{reject_without_sessions, service_path};
use super::table::Table;
use super::{Config, KeyConfig, KeyFormat, check_roster_name};
use crate::model::node_path::{NodePath, Subject};

/// What templates call the locks: `locks.NAME`.
pub const LOCKS: &str = "locks";

const PATH_EXAMPLE: &str = "\"/locks/leader\"";

/// One `[[lock]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockConfig {
    /// The name in templates, after `locks.`; an identifier.
    pub name: Arc<str>,
    /// The name of the registry.
    pub registry: Arc<str>,
    /// The node whose children are the contenders.
    pub path: NodePath,
    /// What other contenders see of this agent; `None` until the load knows the full name of this host.
    pub identifier: Option<Arc<str>>,
}

impl LockConfig {
    /// What it is for templates: a key that follows the contenders.
    fn key(&self) -> Arc<KeyConfig> {
        Arc::new(KeyConfig {
            name: key_name(&self.name),
            registry: Arc::clone(&self.registry),
            subject: Subject::Members(self.path.clone()),
            format: KeyFormat::Lock,
        })
    }
}

/// The name of the key that stands for a lock.
pub fn key_name(lock: &str) -> Arc<str> {
    format!("{LOCKS}.{lock}").into()
}

impl Config {
    /// The keys, and the locks as keys.
    pub fn all_keys(&self) -> impl Iterator<Item = Arc<KeyConfig>> {
        self.keys.iter().cloned().chain(self.locks.iter().map(|lock| lock.key()))
    }

    /// Gives this identifier to the locks without one.
    pub fn set_lock_identifiers(&mut self, fqdn: impl Fn() -> String) {
        for lock in self.locks.iter_mut().filter(|lock| lock.identifier.is_none()) {
            *lock = Arc::new(LockConfig { identifier: Some(fqdn().into()), ..LockConfig::clone(lock) });
        }
    }
}

/// Reads the locks of all files. `others` are the names of rosters and keys.
pub fn locks(
    tops: &[Table<'_>],
    fill: &Interpolation<'_>,
    registries: &Registries,
    others: &Names,
) -> Vec<Arc<LockConfig>> {
    let (mut names, mut places) = (Names::default(), BTreeSet::new());
    let tables = tops.iter().filter_map(|top| top.get("lock")).flat_map(|value| value.tables(&[&LOCK]));
    tables.filter_map(|table| lock(&table, fill, registries, others, &mut names, &mut places)).map(Arc::new).collect()
}

fn lock(
    table: &Table<'_>,
    fill: &Interpolation<'_>,
    registries: &Registries,
    others: &Names,
    names: &mut Names,
    places: &mut BTreeSet<(Arc<str>, NodePath)>,
) -> Option<LockConfig> {
    let path = table.require("path", PATH_EXAMPLE).and_then(|value| {
        let text = value.filled(fill, PATH_EXAMPLE)?;
        value.accept(service_path(&text))
    });
    let registry = registries.named_by(table);
    reject_without_sessions(
        table,
        registries.usable.iter().find(|known| known.name == registry),
        "no lock can be held",
    );
    let written = table.get("name");
    let name = match &written {
        Some(value) => value.text("\"leader\"").map(str::to_owned),
        None => path.as_ref().map(|path| path.name().to_owned()),
    };
    let identifier = table.get("identifier").and_then(|value| value.filled(fill, "\"web1.example.com\""));
    if others.contains(LOCKS) {
        let wrong = ValueError::new(
            "templates cannot tell a lock from the roster or key `locks`",
            "give that roster or key another `name`",
        );
        table.report.error(table.problem(wrong));
    }
    let (Some(name), Some(path)) = (name, path) else {
        table.report.set_incomplete();
        return None;
    };
    if let Err(message) = check_roster_name(&name) {
        let wrong = ValueError::new(message, "write name = \"leader\"");
        match &written {
            Some(value) => value.reject(wrong),
            None => table.report.error(table.problem(wrong)),
        }
    }
    if !places.insert((Arc::clone(&registry), path.clone())) {
        let wrong =
            ValueError::new("another [[lock]] has this path", "remove one of them: an agent contends once for a lock");
        table.report.error(table.problem(wrong));
    }
    names.add(&name, "lock", written.as_ref(), table);
    Some(LockConfig { name: name.into(), registry, path, identifier: identifier.map(Into::into) })
}

/// Checks that there is a lock of this name.
pub fn known_lock(name: &str, locks: &[Arc<LockConfig>]) -> Result<Arc<str>, ValueError> {
    if let Some(lock) = locks.iter().find(|lock| *lock.name == *name) {
        return Ok(Arc::clone(&lock.name));
    }
    let known: Vec<&str> = locks.iter().map(|lock| &*lock.name).collect();
    let hint = match known.as_slice() {
        [] => format!("add [[lock]] with name = {name:?}"),
        known => format!("write one of {}", known.join(", ")),
    };
    Err(ValueError::new(format!("no [[lock]] is named {name:?}"), hint))
}
