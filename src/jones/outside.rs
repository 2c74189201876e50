//! Changes of a service by writers that keep no history, such as Jones itself.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::text::time::utc;
use crate::zk::Stat;

use super::entry::{Before, Entry, EnvChange};
use super::json::{self, Object};
use super::path::{Env, Service};
use super::plan::Step;
use super::records;
use super::store::history::Recorded;
use super::tree::Tree;
use super::words::{listed, name};

#[cfg(test)]
mod tests;

/// The most bytes of configuration in one entry.
const MAX_ENTRY: usize = 300_000;

/// A `conf` that was changed by somebody who writes no history.
#[derive(Debug, Clone, PartialEq)]
pub struct Outside {
    /// The environment.
    pub env: Env,
    /// What it was before.
    pub before: Former,
    /// The metadata of its node; `None` if it was deleted.
    pub stat: Option<Stat>,
}

/// What the history has for an environment.
#[derive(Debug, Clone, PartialEq)]
pub enum Former {
    /// Its content.
    Known(Object),
    /// It did not exist.
    Absent,
    /// The entry with it is not kept any more.
    Unknown,
}

impl Outside {
    /// A line for people.
    pub fn text(&self, service: &Service) -> String {
        let shown = name(service, &self.env);
        let Some(stat) = self.stat else { return format!("{shown}: deleted outside of the history") };
        let at = u64::try_from(stat.mtime_ms).map(|ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        let at = at.map_or_else(|_| "an unknown time".to_owned(), utc);
        format!("{shown}: changed outside of the history at {at}, zxid {:#x}", stat.mzxid.0)
    }

    /// What it was before, as far as it is known.
    pub fn known(&self) -> Option<&Object> {
        if let Former::Known(object) = &self.before { Some(object) } else { None }
    }

    fn change(&self, tree: &Tree) -> EnvChange {
        let nodes = tree.envs.get(&self.env);
        let version = nodes.map_or(-1, |nodes| nodes.conf.stat.version);
        let before = match &self.before {
            Former::Absent => None,
            Former::Known(object) => Some(Before { version, conf: Some(object.clone()) }),
            Former::Unknown => Some(Before { version, conf: None }),
        };
        let after = nodes.map(|nodes| nodes.conf.object.clone().unwrap_or_default());
        EnvChange { env: self.env.clone(), before, after }
    }
}

/// The checks and the entry that record the first ones of these, as many as fit. `entry` has the author, and the comment
/// if it is not to be when they were changed. Of several writers that record them at once, only the first one succeeds.
pub fn recording(tree: &Tree, found: &[Outside], entry: Entry) -> (Vec<Step>, Entry) {
    let (mut bytes, mut changes) = (0, Vec::new());
    for change in found.iter().map(|found| found.change(tree)) {
        let before = change.before.as_ref().and_then(|before| before.conf.as_ref());
        bytes += before.into_iter().chain(&change.after).map(|object| json::bytes(object).len()).sum::<usize>();
        if bytes > MAX_ENTRY && !changes.is_empty() {
            break;
        }
        changes.push(change);
    }
    let found = &found[..changes.len()];
    let present = found.iter().filter_map(|found| Some((&found.env, found.stat?.version)));
    let mut steps: Vec<Step> = present.map(|(env, version)| Step::Check(tree.service.conf(env), version)).collect();
    let path = records::recorded(&tree.service);
    steps.push(match tree.frozen.get(&path) {
        Some(node) => Step::Set(path, Vec::new(), node.stat.version),
        None => Step::Create(path, Vec::new()),
    });
    let texts: Vec<String> = found.iter().map(|found| found.text(&tree.service)).collect();
    let comment = if entry.comment.is_empty() { listed(&texts) } else { entry.comment.clone() };
    (steps, Entry { op: "outside".to_owned(), comment, changes, ..entry })
}

/// The environments that were changed after the last entry on them, by no transaction with an entry, and those that were
/// deleted.
pub fn outside(tree: &Tree, history: &BTreeMap<u64, Recorded>) -> Vec<Outside> {
    let Some(oldest) = history.values().map(|recorded| recorded.stat.czxid).min() else { return Vec::new() };
    let mut newest = BTreeMap::new();
    for recorded in history.values() {
        for change in recorded.entry.iter().flat_map(|entry| &entry.changes) {
            newest.insert(&change.env, (recorded.stat.czxid, change.after.as_ref()));
        }
    }
    let mut found = Vec::new();
    for (env, nodes) in &tree.envs {
        let (stat, recorded) = (nodes.conf.stat, newest.get(env));
        // A new environment writes its parent again, as it is.
        let is_recorded = recorded.is_none() && history.values().any(|recorded| recorded.stat.czxid == stat.mzxid);
        let since = recorded.map_or(oldest, |(czxid, _)| *czxid);
        let known = recorded.and_then(|(_, after)| *after);
        let is_same = known.is_some() && known == nodes.conf.object.as_ref().ok();
        if stat.mzxid > since && !is_recorded && !is_same {
            let before = match known {
                Some(object) => Former::Known(object.clone()),
                None if recorded.is_some() || stat.czxid > oldest => Former::Absent,
                None => Former::Unknown,
            };
            found.push(Outside { env: env.clone(), before, stat: Some(stat) });
        }
    }
    for (env, (_, after)) in newest {
        if let Some(object) = after.filter(|_| !tree.envs.contains_key(env)) {
            found.push(Outside { env: env.clone(), before: Former::Known(object.clone()), stat: None });
        }
    }
    found
}
