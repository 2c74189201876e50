//! What a user wants to change: as a proposal, reviewed, and published.

use std::time::SystemTime;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use crate::error::{Cause, Exit, Fatal};
use crate::jones::canary::{self, Share, Trial};
use crate::jones::entry::{Entry, EnvChange};
use crate::jones::json::{Json, Object};
use crate::jones::merge::{Conflict, merge};
use crate::jones::path::{Env, Service};
use crate::jones::pins;
use crate::jones::plan::Plan;
use crate::jones::proposal::{ConfEdit, Proposal};
use crate::jones::store::CHANGED;
use crate::jones::store::history::{Recorded, entries};
use crate::jones::store::write::{Publication, Published};
use crate::jones::tree::Tree;
use crate::jones::words::name;
use crate::jones::{hosts, past, trial};
use crate::text::time::utc;

use super::Web;
use super::call;
use super::data::{DiffRow, EnvPage, MoveRow, diff_row, env_page, etag, moves};
use super::problem::Problem;
use super::reader::Reader;

#[cfg(test)]
mod tests;

/// What a user wants. In JSON, `op` has its name in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", rename_all_fields = "snake_case")]
pub enum Edit {
    /// Replace the own configuration of an environment.
    Set {
        /// The environment; empty for the root one.
        #[serde(default)]
        env: String,
        /// A JSON object.
        text: String,
        /// The only version that may be replaced.
        base_version: Option<i32>,
    },
    /// Create an environment.
    Create {
        /// The environment.
        env: String,
        /// A JSON object; an empty one if it is missing.
        text: Option<String>,
    },
    /// Delete an environment.
    Delete {
        /// The environment.
        env: String,
        /// The only version that may be deleted.
        base_version: Option<i32>,
    },
    /// Let hosts read the view of an environment.
    Associate {
        /// The hosts.
        hosts: Vec<String>,
        /// The environment; empty for the root one.
        env: String,
    },
    /// Remove the associations of hosts.
    Dissociate {
        /// The hosts.
        hosts: Vec<String>,
    },
    /// Make a new revision with the content of an old one.
    Rollback {
        /// The old one.
        revision: u64,
        /// Only this environment; all if it is missing.
        env: Option<String>,
    },
    /// Let hosts read their view as it was at a revision.
    Pin {
        /// The hosts.
        hosts: Vec<String>,
        /// The revision.
        revision: u64,
    },
    /// Let pinned hosts read what they read before.
    Unpin {
        /// The hosts.
        hosts: Vec<String>,
    },
    /// Let some hosts read what a change would make of their view.
    Canary {
        /// Its name; `canary` if it is missing.
        id: Option<String>,
        /// The environment that it changes.
        #[serde(default)]
        env: String,
        /// Its own configuration with the change.
        text: String,
        /// The hosts, or
        hosts: Option<Vec<String>>,
        /// this share of the hosts that the change would reach, from 1 to 100.
        percent: Option<u8>,
    },
    /// Publish the change of a canary for all hosts.
    Promote {
        /// Its name.
        id: String,
    },
    /// Drop a canary.
    Abort {
        /// Its name.
        id: String,
    },
}

impl Edit {
    /// The environment and the text of the own configuration that it replaces.
    fn text(&self) -> Option<(&str, &str)> {
        if let Self::Set { env, text, .. } = self { Some((env, text)) } else { None }
    }

    /// The change of a service that was read as `tree`, and the command for the history.
    ///
    /// # Errors
    /// It is not possible: why.
    pub async fn proposal(&self, reader: &mut Reader<'_>, tree: &Tree) -> Result<(Proposal, String), Problem> {
        let parsed = |hosts: &[String]| hosts.iter().map(|name| call::host(name)).collect::<Result<Vec<_>, _>>();
        Ok(match self {
            Self::Set { env, text, base_version } => {
                let (env, wanted) = (call::env(env)?, parse(text)?);
                (conf_edit(&env, Some(base(tree, &env)?), Some(wanted), *base_version), "set".to_owned())
            }
            Self::Create { env, text } => {
                let (env, wanted) = (call::env(env)?, text.as_deref().map_or_else(|| Ok(Object::new()), parse)?);
                if tree.envs.contains_key(&env) {
                    let detail = format!("{}: the environment exists already", name(&tree.service, &env));
                    return Err(Problem::new(StatusCode::CONFLICT, detail));
                }
                (conf_edit(&env, None, Some(wanted), None), "create".to_owned())
            }
            Self::Delete { env, base_version } => {
                let env = call::env(env)?;
                (conf_edit(&env, Some(base(tree, &env)?), None, *base_version), "delete".to_owned())
            }
            Self::Associate { hosts, env } => {
                (hosts::associate(tree, &call::env(env)?, parsed(hosts)?)?, "associate".to_owned())
            }
            Self::Dissociate { hosts } => (hosts::dissociate(tree, parsed(hosts)?)?, "dissociate".to_owned()),
            Self::Rollback { revision, env } => {
                let history = reader.store().history(&tree.service).await?;
                let then = past::at(&entries(&history), *revision, tree).map_err(missing)?;
                let env = env.as_deref().map(call::env).transpose()?;
                let (proposal, _) = past::rollback(tree, &then, *revision, env.as_ref()).map_err(Problem::invalid)?;
                (proposal, format!("rollback to r{revision}"))
            }
            Self::Pin { hosts, revision } => {
                let history = reader.store().history(&tree.service).await?;
                let then = past::at(&entries(&history), *revision, tree).map_err(missing)?;
                (pins::pin(tree, &then, *revision, parsed(hosts)?)?, format!("pin to r{revision}"))
            }
            Self::Unpin { hosts } => (pins::unpin(tree, parsed(hosts)?)?, "unpin".to_owned()),
            Self::Canary { id, env, text, hosts, percent } => {
                let id = call::service(id.as_deref().unwrap_or("canary"))?;
                let (env, wanted) = (call::env(env)?, parse(text)?);
                let share = match (hosts, percent) {
                    (Some(hosts), None) if !hosts.is_empty() => Share::Hosts(parsed(hosts)?),
                    (None, Some(percent @ 1..=100)) => Share::Percent(*percent),
                    _ => return Err(Problem::invalid("a canary needs either hosts, or percent from 1 to 100")),
                };
                let trial = Trial { base: base(tree, &env)?, env, wanted };
                (canary::begin(tree, &id, &trial, &share)?, format!("canary {id}"))
            }
            Self::Promote { id } => (canary::promote(tree, &call::service(id)?)?, format!("promote {id}")),
            Self::Abort { id } => (canary::abort(tree, &call::service(id)?)?, format!("abort {id}")),
        })
    }
}

fn missing(why: String) -> Problem {
    Fatal::new(Exit::Failed, why).of(Cause::Missing).into()
}

fn conf_edit(env: &Env, base: Option<Object>, wanted: Option<Object>, version: Option<i32>) -> Proposal {
    let edit = ConfEdit { base, wanted, version };
    Proposal { confs: [(env.clone(), edit)].into_iter().collect(), ..Proposal::default() }
}

/// The own configuration of an environment as it is. What is not an object is replaced as a whole.
fn base(tree: &Tree, env: &Env) -> Result<Object, Problem> {
    let nodes = tree.envs.get(env);
    let missing = || missing(format!("there is no environment {}", name(&tree.service, env)));
    nodes.map(|nodes| nodes.conf.object.clone().unwrap_or_default()).ok_or_else(missing)
}

/// Parses a configuration.
///
/// # Errors
/// It is not a JSON object: the line and the column.
pub fn parse(text: &str) -> Result<Object, Problem> {
    Json::parse_object(text.as_bytes()).map_err(|why| {
        let (line, column) = Json::position(text.as_bytes(), &why);
        let detail = format!("the text is not a valid configuration: {why}");
        Problem::invalid(detail).with("line", &line).with("column", &column)
    })
}

/// What a change would do.
#[derive(Debug, Clone, Serialize)]
pub struct Review {
    /// The tag of the service that it was made of. A write with it in `reviewed` is refused if the service is another one.
    pub etag: String,
    /// Each changed `conf`.
    pub confs: Vec<DiffRow>,
    /// Each changed view, with the hosts that read it.
    pub views: Vec<DiffRow>,
    /// The changed associations.
    pub moves: Vec<MoveRow>,
    /// The number of hosts that the change reaches.
    pub host_count: usize,
    /// Their names, sorted.
    pub hosts: Vec<String>,
    /// What the checks found, in their own words; none if all pass.
    pub refusals: Vec<String>,
    /// What the checks did.
    pub notes: Vec<String>,
    /// Whether it would change nothing.
    pub is_empty: bool,
}

impl Review {
    fn of(tree: &Tree, plan: &Plan) -> Self {
        let row = |diff: &crate::jones::plan::ObjectDiff| {
            diff_row(&diff.env, diff.before.as_ref(), diff.after.as_ref(), &diff.hosts)
        };
        let readers = plan.views.iter().flat_map(|diff| &diff.hosts).chain(plan.hosts.keys());
        let mut hosts: Vec<String> = readers.cloned().collect();
        hosts.sort();
        hosts.dedup();
        Self {
            etag: etag(tree),
            confs: plan.confs.iter().map(row).collect(),
            views: plan.views.iter().map(row).collect(),
            moves: moves(&plan.hosts),
            host_count: hosts.len(),
            hosts,
            refusals: Vec::new(),
            notes: Vec::new(),
            is_empty: false,
        }
    }
}

impl Web {
    /// Runs the checks of a change. Returns what they did, in words.
    async fn run_checks(&self, tree: &Tree, plan: &Plan) -> Result<Vec<String>, Fatal> {
        if let Some(check) = self.config.checks.get(tree.service.as_str()) {
            trial::check_views(check, &tree.service, &plan.new_views(&tree.service)).await?;
        }
        let mut notes = Vec::new();
        for file in &self.trials {
            notes.extend(trial::try_config(file, tree, plan).await?);
        }
        Ok(notes)
    }

    /// What a change would do. Nothing is written.
    ///
    /// # Errors
    /// A rule forbids it, or somebody else has changed the same.
    pub async fn review(&self, reader: &mut Reader<'_>, service: &Service, edit: &Edit) -> Result<Review, Problem> {
        let tree = reader.store().tree(service).await?;
        let (proposal, op) = edit.proposal(reader, &tree).await?;
        let change = match proposal.rebase(&tree).map_err(Fatal::from) {
            Ok(change) => change,
            Err(why) => return Err(explain(reader, service, edit, why).await),
        };
        let plan = Plan::new(&tree, &change, Entry { op, ..Entry::default() }).map_err(Problem::invalid)?;
        let mut review = Review { is_empty: change.is_empty(), ..Review::of(&tree, &plan) };
        match self.run_checks(&tree, &plan).await {
            Ok(notes) => review.notes = notes,
            Err(why) => review.refusals.push(why.message),
        }
        Ok(review)
    }

    /// Publishes a change, if `is_seen` holds for the service that it is made of: what the user has seen is still so.
    /// Returns the revision; `None` if the service is so already.
    ///
    /// # Errors
    /// A rule or a check forbids it, somebody else has changed the same, or the ensemble is not reached.
    pub async fn publish(
        &self,
        reader: &mut Reader<'_>,
        service: &Service,
        edit: &Edit,
        entry: Entry,
        is_seen: impl Fn(&Tree) -> bool,
    ) -> Result<Option<u64>, Problem> {
        let tree = reader.store().tree(service).await?;
        let (proposal, op) = edit.proposal(reader, &tree).await?;
        let changed = || {
            let message = format!("{service} was changed by somebody else meanwhile; nothing was written");
            Fatal::new(CHANGED, message)
        };
        if !is_seen(&tree) {
            return Err(explain(reader, service, edit, changed()).await);
        }
        let publication = Publication { proposal, entry: Entry { op, ..entry }, staged: false };
        let review = async |tree: &Tree, plan: &Plan| {
            // After a race the plan is another one than the user has seen.
            if is_seen(tree) { self.run_checks(tree, plan).await.map(|_| true) } else { Err(changed()) }
        };
        match reader.store().publish(tree, &publication, review).await {
            Ok(Published::Done { revision, .. }) => Ok(Some(revision)),
            Ok(Published::Nothing | Published::Declined) => Ok(None),
            Err(why) => Err(explain(reader, service, edit, why).await),
        }
    }
}

/// The beginning of an entry: who, when, why.
pub fn entry(op: &str, user: Option<&str>, comment: &str) -> Entry {
    Entry {
        op: op.to_owned(),
        author: user.unwrap_or("anonymous").to_owned(),
        via: "rosterd jones serve".to_owned(),
        comment: comment.to_owned(),
        at: utc(SystemTime::now()),
        id: format!("{:016x}", fastrand::u64(..)),
        ..Entry::default()
    }
}

/// A key that both sides have changed.
#[derive(Serialize)]
struct ConflictRow {
    key: String,
    base: Option<Json>,
    ours: Option<Json>,
    theirs: Option<Json>,
}

/// The problem of an edit that was refused. A conflict has what is there now, and the keys that both sides have changed.
async fn explain(reader: &mut Reader<'_>, service: &Service, edit: &Edit, why: Fatal) -> Problem {
    let problem = Problem::from(why);
    let (StatusCode::CONFLICT, Some((env, text))) = (problem.status, edit.text()) else { return problem };
    let (Ok(env), Ok(ours)) = (call::env(env), parse(text)) else { return problem };
    let Ok(tree) = reader.store().tree(service).await else { return problem };
    let Ok(EnvPage { version, text, .. }) = env_page(&tree, &env) else { return problem };
    let theirs = tree.envs.get(&env).and_then(|nodes| nodes.conf.object.clone().ok()).unwrap_or_default();
    let history = reader.store().history(service).await.unwrap_or_default();
    let base_version = if let Edit::Set { base_version, .. } = edit { *base_version } else { None };
    let base = base_version.and_then(|version| conf_at(&history, &env, version));
    let (merged, conflicts) = match base.as_ref().map(|base| merge(base, &ours, &theirs)) {
        Some(Ok(merged)) => (Some(Json::Object(merged).pretty() + "\n"), Vec::new()),
        Some(Err(conflicts)) => (None, conflicts),
        // What it was is not known, so every key that differs may be one.
        None => (None, merge(&Object::new(), &ours, &theirs).err().unwrap_or_default()),
    };
    let row = |Conflict { key, base, ours, theirs }| ConflictRow { key, base, ours, theirs };
    let conflicts: Vec<ConflictRow> = conflicts.into_iter().map(row).collect();
    problem
        .with("env", &env.to_string())
        .with("version", &version)
        .with("text", &text)
        .with("conflicts", &conflicts)
        .with("merged", &merged)
}

/// The own configuration of an environment at a version, if the history has it.
fn conf_at(history: &std::collections::BTreeMap<u64, Recorded>, env: &Env, version: i32) -> Option<Object> {
    let is_found = |op: &str| matches!(op, "outside" | "adopt");
    let at = |(op, change): (&str, &EnvChange)| match &change.before {
        // The version is the one that it was found with. The content before it may be of an older one.
        Some(before) if is_found(op) => change.after.clone().filter(|_| before.version == version),
        Some(before) if before.version == version => before.conf.clone(),
        Some(before) if before.version.checked_add(1) == Some(version) => change.after.clone(),
        None if version == 0 && !is_found(op) => change.after.clone(),
        _ => None,
    };
    let newest = entries(history).into_values().rev();
    let changes = newest.flat_map(|entry| entry.changes.iter().map(|change| (&*entry.op, change)));
    changes.filter(|(_, change)| change.env == *env).find_map(at)
}
