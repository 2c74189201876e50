//! Changes of a service by writers that keep no history, such as Jones itself.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::model::version::Zxid;
use crate::text::time::utc;
use crate::zk::Stat;

use super::entry::{Before, Entry, EnvChange};
use super::json::Object;
use super::path::{Env, Service};
use super::plan::Step;
use super::records;
use super::store::history::Recorded;
use super::tree::Tree;
use super::words::{listed, name};

#[cfg(test)]
mod tests;

/// The most bytes of changes in one entry. One that is larger has an entry of its own, without the content before.
const MAX_ENTRY: usize = 300_000;

/// The bytes of a request beside its entry and the paths of its checks, with access control lists.
const OVERHEAD: usize = 1_000;

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

    fn key(&self) -> (Env, Option<Zxid>) {
        (self.env.clone(), self.stat.map(|stat| stat.mzxid))
    }

    /// What it was before, as far as it is known.
    pub fn known(&self) -> Option<&Object> {
        if let Former::Known(object) = &self.before { Some(object) } else { None }
    }

    /// The change in an entry, with its bytes in a request, which has `limit` at most. One that is not the first is deeper
    /// in the entry.
    fn fitted(&self, tree: &Tree, entry: &Entry, is_first: bool, limit: usize) -> Result<(EnvChange, usize), String> {
        let mut change = self.change(tree);
        let data = |change: &EnvChange| {
            let first = EnvChange { env: Env::ROOT, before: None, after: None };
            let before = if is_first { None } else { Some(first) };
            Entry { changes: before.into_iter().chain([change.clone()]).collect(), ..entry.clone() }.write()
        };
        let mut written = data(&change);
        if written.len() > MAX_ENTRY
            && let Some(before) = &mut change.before
        {
            before.conf = None;
            written = data(&change);
        }
        let bytes = written.len() + tree.service.conf(&self.env).as_str().len();
        let request = bytes + OVERHEAD;
        if request > limit {
            return Err(format!(
                "its entry in the history needs a request of {request} bytes, over the limit of {limit}"
            ));
        }
        Entry::verify(&written).map(|()| (change, bytes))
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

/// A transaction that records changes.
#[derive(Debug)]
pub struct Recording {
    /// The checks that they are still what they were.
    pub steps: Vec<Step>,
    /// The entry. It has no changes if none can be recorded.
    pub entry: Entry,
    /// Those in the entry: each environment with the transaction that changed it, if it was not deleted.
    pub keys: Vec<(Env, Option<Zxid>)>,
    /// Why others cannot be recorded, as far as they were looked at.
    pub refused: Vec<String>,
}

/// Records the first ones of these, as many as fit in a request of `limit` bytes. `entry` has the author, and the comment
/// if it is not to be when they were changed. Of several writers that record them at once, only the first one succeeds.
pub fn recording(tree: &Tree, all: &[Outside], entry: Entry, limit: usize) -> Recording {
    let max = MAX_ENTRY.min(limit.saturating_sub(OVERHEAD));
    let (mut sum, mut found, mut changes, mut refused) = (0, Vec::new(), Vec::new(), Vec::new());
    for one in all {
        match one.fitted(tree, &entry, changes.is_empty(), limit) {
            Ok((_, bytes)) if sum + bytes > max && !changes.is_empty() => break,
            Ok((change, bytes)) => {
                sum += bytes;
                found.push(one);
                changes.push(change);
            }
            // It may be possible in the first place, where it is less deep.
            Err(_) if !changes.is_empty() => break,
            Err(why) => refused.push(format!("{}: {why}", name(&tree.service, &one.env))),
        }
    }
    let present = found.iter().filter_map(|found| Some((&found.env, found.stat?.version)));
    let mut steps: Vec<Step> = present.map(|(env, version)| Step::Check(tree.service.conf(env), version)).collect();
    let path = records::recorded(&tree.service);
    steps.push(match tree.frozen.get(&path) {
        Some(node) => Step::Set(path, Vec::new(), node.stat.version),
        None => Step::Create(path, Vec::new()),
    });
    let texts: Vec<String> = found.iter().map(|found| found.text(&tree.service)).collect();
    let comment = if entry.comment.is_empty() { listed(&texts) } else { entry.comment.clone() };
    let keys = found.iter().map(|found| found.key()).collect();
    Recording { steps, entry: Entry { op: "outside".to_owned(), comment, changes, ..entry }, keys, refused }
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
        // One that was created between the reading and the recording of its deletion was recorded as deleted after that.
        let is_recreated = recorded.is_some() && known.is_none();
        if (stat.mzxid > since || is_recreated) && !is_recorded && !is_same {
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
