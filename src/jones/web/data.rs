//! What pages and the API show. The API writes these types as JSON, with the names of their fields.
//!
//! Each function reads ZooKeeper and nothing else, and writes nothing. Values that a viewer must not see are hidden
//! already.

use std::fmt::Write as _;

use serde::Serialize;

use crate::error::{Cause, Exit, Fatal};
use crate::jones::canary::{self, Trial};
use crate::jones::check::{Finding, marks};
use crate::jones::diff::hunks;
use crate::jones::json::{Json, Object};
use crate::jones::outside::outside;
use crate::jones::past;
use crate::jones::path::{Env, Kind, Service};
use crate::jones::store::history::{Recorded, entries};
use crate::jones::tree::{Node, Tree};
use crate::jones::words::name;
use crate::model::digest::sha256;

use super::reader::Reader;

/// What every page shows beside its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the page is about, as plain text.
    pub title: String,
    /// Who looks at it; `None` if nobody is asked who they are.
    pub user: Option<String>,
    /// Whether they may change what the page is about.
    pub may_edit: bool,
}

/// A service in a list.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceRow {
    /// Its name.
    pub service: String,
    /// The number of its environments.
    pub envs: usize,
    /// The number of hosts with an association.
    pub hosts: usize,
    /// The number of stale views.
    pub stale: usize,
    /// The number of hosts that read a pin.
    pub pinned: usize,
    /// The number of hosts that read a canary.
    pub in_canaries: usize,
}

/// The services that a user may see.
#[derive(Debug, Clone, Serialize)]
pub struct ServicesPage {
    /// Sorted by name.
    pub services: Vec<ServiceRow>,
    /// Why others cannot be shown.
    pub unreadable: Vec<String>,
}

/// An environment in the tree of a service.
#[derive(Debug, Clone, Serialize)]
pub struct EnvRow {
    /// Its path, `parent/child1`; empty for the root environment.
    pub env: String,
    /// The version of its own configuration.
    pub version: i32,
    /// The length of its own configuration.
    pub bytes: usize,
    /// The hosts that read its view.
    pub hosts: Vec<String>,
    /// What is special: "stale view", "pinned to r12: 1 host" …
    pub marks: Vec<String>,
}

/// A host with an association.
#[derive(Debug, Clone, Serialize)]
pub struct HostRow {
    /// Its name.
    pub host: String,
    /// The path that it reads, as written.
    pub path: String,
    /// What that is, in words; why it cannot be used, if it cannot.
    pub reads: String,
    /// The environment; `None` if it reads none.
    pub env: Option<String>,
    /// The revision that it is pinned to.
    pub pinned: Option<u64>,
    /// The name of the canary that it is in.
    pub canary: Option<String>,
}

/// A canary.
#[derive(Debug, Clone, Serialize)]
pub struct CanaryRow {
    /// Its name.
    pub id: String,
    /// The environment that it changes; `None` if its record is damaged.
    pub env: Option<String>,
    /// The hosts that read it.
    pub hosts: Vec<String>,
    /// The change of the own configuration, as a unified difference without a head.
    pub diff: String,
}

/// Something that is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct ProblemRow {
    /// What, where, and the way out.
    pub text: String,
    /// Whether `rosterd jones check --repair` corrects it.
    pub is_repairable: bool,
}

/// A service.
#[derive(Debug, Clone, Serialize)]
pub struct ServicePage {
    /// Its name.
    pub service: String,
    /// What `If-Match` must have to change it as a whole: it changes with every `conf` and with `nodemaps`.
    pub etag: String,
    /// Its environments, each after the one that it inherits from.
    pub envs: Vec<EnvRow>,
    /// The hosts with an association.
    pub hosts: Vec<HostRow>,
    /// The canaries.
    pub canaries: Vec<CanaryRow>,
    /// What is wrong.
    pub problems: Vec<ProblemRow>,
    /// What is worth to know without being a fault: changes outside of the history …
    pub notes: Vec<String>,
}

/// A key of a view.
#[derive(Debug, Clone, Serialize)]
pub struct KeyRow {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Json,
    /// The environment that the value comes from; `None` if the view is stale or frozen.
    pub origin: Option<String>,
    /// The environments whose value it hides.
    pub hides: Vec<String>,
}

/// An environment.
#[derive(Debug, Clone, Serialize)]
pub struct EnvPage {
    /// The name of the service.
    pub service: String,
    /// Its path; empty for the root environment.
    pub env: String,
    /// The version of its own configuration, which `If-Match` must have to change it.
    pub version: i32,
    /// Its own configuration: readable, with sorted keys; as it is stored, if it is not an object.
    pub text: String,
    /// Why its own configuration is not an object.
    pub error: Option<String>,
    /// Its own configuration; `None` if it is not an object.
    pub conf: Option<Json>,
    /// What hosts read; `None` if there is no view, or it is not an object.
    pub view: Option<Json>,
    /// The keys of the view, sorted.
    pub keys: Vec<KeyRow>,
    /// The hosts that read it.
    pub hosts: Vec<String>,
}

/// What a host reads, and why.
#[derive(Debug, Clone, Serialize)]
pub struct HostPage {
    /// The name of the service.
    pub service: String,
    /// What `If-Match` must have to change its association.
    pub etag: String,
    /// Its association. A host without one has the default path.
    #[serde(flatten)]
    pub row: HostRow,
    /// Whether `nodemaps` names it.
    pub is_listed: bool,
    /// Why it reads that, in a sentence.
    pub why: String,
    /// What it reads; `None` if that is not an object.
    pub config: Option<Json>,
    /// Why that is not an object.
    pub error: Option<String>,
    /// The keys of what it reads, sorted.
    pub keys: Vec<KeyRow>,
}

/// A revision in a list.
#[derive(Debug, Clone, Serialize)]
pub struct RevisionRow {
    /// Its number.
    pub revision: u64,
    /// The command: `set`, `rollback to r12` …
    pub op: String,
    /// Who made it, as the writer claims.
    pub author: String,
    /// The program that wrote it.
    pub via: String,
    /// Why.
    pub comment: String,
    /// When, in RFC 3339.
    pub at: String,
    /// The transaction.
    pub zxid: String,
    /// The changed environments.
    pub envs: Vec<String>,
    /// The hosts whose association changed.
    pub hosts: Vec<String>,
}

/// The history of a service.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryPage {
    /// The name of the service.
    pub service: String,
    /// Its revisions, the newest first.
    pub revisions: Vec<RevisionRow>,
    /// What was changed outside of the history, in words.
    pub outside: Vec<String>,
}

/// The difference of a `conf` or view.
#[derive(Debug, Clone, Serialize)]
pub struct DiffRow {
    /// The environment.
    pub env: String,
    /// `created`, `deleted` or `changed`.
    pub kind: &'static str,
    /// A unified difference without a head.
    pub diff: String,
    /// The hosts that read it; none for a `conf`.
    pub hosts: Vec<String>,
}

/// A change of an association.
#[derive(Debug, Clone, Serialize)]
pub struct MoveRow {
    /// The host.
    pub host: String,
    /// The path before; `None` if it had none.
    pub from: Option<String>,
    /// The path after.
    pub to: Option<String>,
}

/// A revision.
#[derive(Debug, Clone, Serialize)]
pub struct RevisionPage {
    /// The name of the service.
    pub service: String,
    /// What the list has.
    #[serde(flatten)]
    pub row: RevisionRow,
    /// What happened to each `conf`.
    pub confs: Vec<DiffRow>,
    /// The changed associations.
    pub moves: Vec<MoveRow>,
}

/// The problems of a service.
#[derive(Debug, Clone, Serialize)]
pub struct CheckPage {
    /// The name of the service.
    pub service: String,
    /// What is wrong.
    pub problems: Vec<ProblemRow>,
    /// What is worth to know without being a fault.
    pub notes: Vec<String>,
}

/// The services that a user may see.
pub async fn services(reader: &mut Reader<'_>) -> Result<ServicesPage, Fatal> {
    let row = |tree: &Tree| {
        let count = |wanted: fn(&Kind) -> bool| {
            let kinds = tree.hosts().filter_map(|(_, path)| tree.service.destination(path).ok());
            kinds.filter(|found| wanted(&found.kind)).count()
        };
        ServiceRow {
            service: tree.service.to_string(),
            envs: tree.envs.len(),
            hosts: tree.hosts().count(),
            stale: tree.envs.keys().filter(|env| tree.is_stale(env)).count(),
            pinned: count(|kind| matches!(kind, Kind::Pin(..))),
            in_canaries: count(|kind| matches!(kind, Kind::Canary(..))),
        }
    };
    let mut page = ServicesPage { services: Vec::new(), unreadable: Vec::new() };
    for (_, tree) in reader.services().await? {
        match tree {
            Ok(tree) => page.services.push(row(&tree)),
            Err(why) => page.unreadable.push(why.message),
        }
    }
    Ok(page)
}

/// A service.
pub async fn service(reader: &mut Reader<'_>, service: &Service) -> Result<ServicePage, Fatal> {
    let tree = reader.tree(service).await?;
    let CheckPage { problems, notes, .. } = check(reader, service).await?;
    let row = |env: &Env| {
        let conf = &tree.envs[env].conf;
        EnvRow {
            env: env.to_string(),
            version: conf.stat.version,
            bytes: conf.stat.data_length,
            hosts: texts(tree.readers(env)),
            marks: marks(&tree, env),
        }
    };
    let hosts: Vec<HostRow> = tree.hosts().map(|(host, path)| host_row(&tree, host, path)).collect();
    let canary_row = |id: &str| {
        let trial = Service::parse(id).ok().and_then(|id| Trial::read(&tree, &id).ok());
        let in_it = hosts.iter().filter(|row| row.canary.as_deref() == Some(id));
        CanaryRow {
            id: id.to_owned(),
            env: trial.as_ref().map(|trial| trial.env.to_string()),
            hosts: in_it.map(|row| row.host.clone()).collect(),
            diff: trial.map(|trial| hunks(Some(&trial.base), Some(&trial.wanted))).unwrap_or_default(),
        }
    };
    Ok(ServicePage {
        service: service.to_string(),
        etag: etag(&tree),
        envs: tree.envs.keys().map(row).collect(),
        canaries: canary::ids(&tree).into_iter().map(canary_row).collect(),
        hosts,
        problems,
        notes,
    })
}

/// What is wrong with a service.
pub async fn check(reader: &mut Reader<'_>, service: &Service) -> Result<CheckPage, Fatal> {
    let (problems, notes) = reader.store().check(service).await?;
    let row = |Finding { text, is_repairable }| ProblemRow { text, is_repairable };
    Ok(CheckPage { service: service.to_string(), problems: problems.into_iter().map(row).collect(), notes })
}

/// What is wrong with the services that a user may see.
pub async fn all_checks(reader: &mut Reader<'_>) -> Result<Vec<CheckPage>, Fatal> {
    let mut pages = Vec::new();
    for (service, tree) in reader.services().await? {
        pages.push(match tree {
            Ok(_) => check(reader, &service).await?,
            Err(why) => {
                let problem = ProblemRow { text: why.message, is_repairable: false };
                CheckPage { service: service.to_string(), problems: vec![problem], notes: Vec::new() }
            }
        });
    }
    Ok(pages)
}

/// An environment.
pub async fn env(reader: &mut Reader<'_>, service: &Service, env: &Env) -> Result<EnvPage, Fatal> {
    env_page(&reader.tree(service).await?, env)
}

/// An environment of a service that was read.
///
/// # Errors
/// There is no such environment.
pub fn env_page(tree: &Tree, env: &Env) -> Result<EnvPage, Fatal> {
    let Some(nodes) = tree.envs.get(env) else {
        let message = format!("there is no environment {}", name(&tree.service, env));
        return Err(Fatal::new(Exit::Failed, message).of(Cause::Missing));
    };
    let conf = &nodes.conf;
    let view = nodes.view.as_ref().and_then(|view| view.object.as_ref().ok());
    let text = match &conf.object {
        Ok(object) => Json::Object(object.clone()).pretty() + "\n",
        Err(_) => String::from_utf8_lossy(&conf.data).into_owned(),
    };
    Ok(EnvPage {
        service: tree.service.to_string(),
        env: env.to_string(),
        version: conf.stat.version,
        text,
        error: conf.object.as_ref().err().cloned(),
        conf: conf.object.as_ref().ok().cloned().map(Json::Object),
        view: view.cloned().map(Json::Object),
        keys: view.map(|view| keys(tree, Some(env), view)).unwrap_or_default(),
        hosts: texts(tree.readers(env)),
    })
}

/// What a host reads, and why.
pub async fn host(reader: &mut Reader<'_>, service: &Service, host: &str) -> Result<HostPage, Fatal> {
    let tree = reader.tree(service).await?;
    let listed = tree.hosts().find(|(name, _)| *name == host).map(|(_, path)| path.to_owned());
    let path = listed.clone().unwrap_or_else(|| service.default_destination().path.to_string());
    let row = host_row(&tree, host, &path);
    let why = match (&tree.nodemaps, &listed) {
        (Err(why), _) => format!("{} cannot be used: {why}", service.nodemaps()),
        (_, Some(path)) => format!("{host} is associated with {path}: {}", row.reads),
        (_, None) => format!("{host} has no association, so it reads the own configuration of the root environment"),
    };
    let found = service.destination(&path).ok().filter(|_| tree.nodemaps.is_ok());
    let node: Option<&Node> = found.as_ref().and_then(|found| match &found.kind {
        Kind::Conf(env) => tree.envs.get(env).map(|nodes| &nodes.conf),
        Kind::View(env) => tree.envs.get(env)?.view.as_ref(),
        Kind::Pin(..) | Kind::Canary(..) | Kind::Other => tree.frozen.get(&found.path),
    });
    // What is frozen comes from what the environments were.
    let env = found.as_ref().and_then(|found| match &found.kind {
        Kind::Conf(env) | Kind::View(env) => Some(env),
        _ => None,
    });
    let object = node.map(|node| node.object.as_ref());
    let error = match object {
        None => Some(format!("{path} does not exist, or is not a view")),
        Some(object) => object.err().cloned(),
    };
    let object = object.and_then(Result::ok);
    Ok(HostPage {
        service: service.to_string(),
        etag: host_etag(listed.as_deref()),
        row,
        is_listed: listed.is_some(),
        why,
        config: object.cloned().map(Json::Object),
        error,
        keys: object.map(|object| keys(&tree, env, object)).unwrap_or_default(),
    })
}

/// The history of a service.
pub async fn history(reader: &mut Reader<'_>, service: &Service) -> Result<HistoryPage, Fatal> {
    let tree = reader.tree(service).await?;
    let history = reader.history(service).await?;
    let revisions = history.iter().rev().map(|(revision, recorded)| revision_row(*revision, recorded)).collect();
    let outside = outside(&tree, &history).iter().map(|found| found.text(service)).collect();
    Ok(HistoryPage { service: service.to_string(), revisions, outside })
}

/// A revision.
pub async fn revision(reader: &mut Reader<'_>, service: &Service, revision: u64) -> Result<RevisionPage, Fatal> {
    let history = reader.history(service).await?;
    let Some(recorded) = history.get(&revision) else {
        let message = format!("{service}: there is no revision r{revision}");
        return Err(Fatal::new(Exit::Failed, message).of(Cause::Missing));
    };
    let failed = |why: &String| Fatal::new(Exit::Failed, format!("r{revision} is not an entry: {why}"));
    let entry = recorded.entry.as_ref().map_err(failed)?;
    let readable = entries(&history);
    let conf = |change| {
        let before = past::former(&readable, revision, change);
        diff_row(&change.env, before.as_ref(), change.after.as_ref(), &[])
    };
    Ok(RevisionPage {
        service: service.to_string(),
        row: revision_row(revision, recorded),
        confs: entry.changes.iter().map(conf).collect(),
        moves: moves(&entry.nodemaps),
    })
}

fn revision_row(revision: u64, recorded: &Recorded) -> RevisionRow {
    let entry = recorded
        .entry
        .clone()
        .unwrap_or_else(|why| crate::jones::entry::Entry { op: format!("not an entry: {why}"), ..Default::default() });
    RevisionRow {
        revision,
        envs: entry.changes.iter().map(|change| change.env.to_string()).collect(),
        hosts: entry.nodemaps.into_keys().collect(),
        op: entry.op,
        author: entry.author,
        via: entry.via,
        comment: entry.comment,
        at: entry.at,
        zxid: format!("{:#x}", recorded.stat.czxid.0),
    }
}

/// The difference of a `conf` or view.
pub fn diff_row(env: &Env, before: Option<&Object>, after: Option<&Object>, hosts: &[String]) -> DiffRow {
    let kind = match (before, after) {
        (None, _) => "created",
        (_, None) => "deleted",
        _ => "changed",
    };
    DiffRow { env: env.to_string(), kind, diff: hunks(before, after), hosts: hosts.to_vec() }
}

/// Changes of associations.
pub fn moves(moves: &crate::jones::plan::Moves) -> Vec<MoveRow> {
    let row = |(host, (from, to)): (&String, &(Option<String>, Option<String>))| MoveRow {
        host: host.clone(),
        from: from.clone(),
        to: to.clone(),
    };
    moves.iter().map(row).collect()
}

fn host_row(tree: &Tree, host: &str, path: &str) -> HostRow {
    let kind = tree.service.destination(path).map(|found| found.kind);
    let (mut env, mut pinned, mut canary) = (None, None, None);
    match &kind {
        Ok(Kind::Conf(of) | Kind::View(of)) => env = Some(of),
        Ok(Kind::Pin(revision, of)) => (env, pinned) = (Some(of), Some(*revision)),
        Ok(Kind::Canary(id, of)) => (env, canary) = (Some(of), Some(id.to_string())),
        Ok(Kind::Other) | Err(_) => {}
    }
    let env = env.map(Env::to_string);
    let reads = kind.map_or_else(|why| why, |kind| kind.to_string());
    HostRow { host: host.to_owned(), path: path.to_owned(), reads, env, pinned, canary }
}

/// Each key with the environment that its value comes from; without one for what is frozen.
fn keys(tree: &Tree, env: Option<&Env>, object: &Object) -> Vec<KeyRow> {
    let conf = |env: &Env| tree.envs.get(env).and_then(|nodes| nodes.conf.object.as_ref().ok());
    let row = |(key, value): (&String, &Json)| {
        let has = |env: &Env| conf(env).is_some_and(|object| object.contains_key(key));
        let mut origins: Vec<String> =
            env.into_iter().flat_map(Env::lineage).filter(has).map(|env| env.to_string()).collect();
        let origin = origins.pop();
        KeyRow { key: key.clone(), value: value.clone(), origin, hides: origins }
    };
    let mut rows: Vec<KeyRow> = object.iter().map(row).collect();
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    rows
}

fn texts(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

/// What changes with every `conf` of a service and with its associations.
pub fn etag(tree: &Tree) -> String {
    let mut text = String::new();
    for (env, nodes) in &tree.envs {
        let _ = writeln!(text, "{env} {:#x}", nodes.conf.stat.mzxid.0);
    }
    let stat = tree.nodemaps.as_ref().ok().and_then(|node| node.stat);
    let _ = write!(text, "{:#x}", stat.map_or(0, |stat| stat.mzxid.0));
    short(&text)
}

/// What changes with the association of a host.
pub fn host_etag(path: Option<&str>) -> String {
    short(path.unwrap_or_default())
}

fn short(text: &str) -> String {
    sha256(text.as_bytes()).chars().take(16).collect()
}
