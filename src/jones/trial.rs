//! What a change would do, before it is published: the checks of its views, and templates rendered with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch as channel};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::act::files;
use crate::act::process::command::{self, Title};
use crate::act::process::environment::{Variables, environment};
use crate::act::process::launch::Termination;
use crate::agent::render::render_in_memory;
use crate::config::{Config, JonesCheck, KeyConfig, Placeholder, RegistryConfig, UnitPaths};
use crate::control::{FileResult, PassRequest};
use crate::decide::Outcome;
use crate::error::{Exit, Fatal};
use crate::load::setup::{ConfigSource, Setup, is_or_has};
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Seen, Update, View};
use crate::model::saved_view::SavedViews;
use crate::watch;
use crate::watch::StateAccess;
use crate::watch::saved::SavedSource;
use crate::zk::Bytes;

use super::json::{self, Object};
use super::path::{Env, Kind, Service};
use super::plan::Plan;
use super::schema;
use super::tree::Tree;
use super::words::name;

/// How long reading the other rosters and keys may take, and then rendering.
const LIMIT: Duration = Duration::from_secs(30);

/// The nodes that a change writes, with their new data; `None` for those that it deletes.
type NewNodes = BTreeMap<NodePath, Option<Bytes>>;

/// Runs the check of a service on its new views.
///
/// # Errors
/// It refuses one, in its own words.
pub async fn check_views(check: &JonesCheck, service: &Service, views: &[(Env, Object)]) -> Result<(), Fatal> {
    if let Some(schema) = &check.schema {
        schema::check(schema, service, views)?;
    }
    let Some(cmd) = &check.cmd else { return Ok(()) };
    for (env, view) in views {
        let shown = name(service, env);
        let failed = |why: String| Fatal::new(Exit::Failed, format!("{shown}: {why}; nothing was written"));
        let file = tempfile::Builder::new().prefix("rosterd-view-").suffix(".json").tempfile();
        let file = file.map_err(|why| failed(format!("cannot create a file for the check: {why}")))?;
        let written = std::fs::write(file.path(), json::bytes(view));
        written.map_err(|why| failed(format!("cannot write {}: {why}", file.path().display())))?;
        let src = file.path().to_string_lossy().into_owned();
        let command = cmd.fill(&|placeholder| match placeholder {
            Placeholder::Src => Some(src.clone()),
            Placeholder::Dest | Placeholder::Staged(_) => None,
        });
        let variables = Variables { template: &shown, src: &src, dest: "", changed: "" };
        let environment = environment(&BTreeMap::new(), &variables);
        let title = Title { what: "check", command: cmd };
        let end = command::run(title, &command, &environment, check.timeout, &CancellationToken::new()).await;
        if end.termination != Termination::Exited(0) {
            return Err(failed(format!("the view was refused: {}", end.describe("check", &command))));
        }
    }
    Ok(())
}

/// Renders the templates of a configuration that read a changed view, and runs their checks. Returns what was done, in
/// words.
///
/// # Errors
/// The configuration is wrong, its other rosters cannot be read, or a template or its check fails, in its own words.
pub async fn try_config(file: &Path, tree: &Tree, plan: &Plan) -> Result<Vec<String>, Fatal> {
    let shown = file.display();
    let failed = |why: String| Fatal::new(Exit::Failed, format!("--try {shown}: {why}; nothing was written"));
    let source = ConfigSource { file: Some(file.to_owned()), ..ConfigSource::default() };
    let mut setup = Setup::load(&source, None)
        .map_err(|problems| Fatal::new(Exit::Config, format!("invalid configuration\n{}", problems.draw(false))))?;
    // What this host knows does not belong to a trial.
    setup.stateful = false;
    let new = new_nodes(tree, plan);
    let changed: BTreeMap<Arc<str>, Seen<Bytes>> = setup
        .config
        .keys
        .iter()
        .filter_map(|key| Some((Arc::clone(&key.name), new_data(tree, plan, &new, key)?)))
        .collect();
    let names: Vec<String> = setup
        .config
        .templates
        .iter()
        .filter(|template| setup.library.needs(template).names.iter().any(|name| changed.contains_key(name)))
        .map(|template| template.name.to_string())
        .collect();
    if names.is_empty() {
        return Ok(vec![format!("--try {shown}: no template reads a view that changes")]);
    }
    let mut views = read_views(&setup.config).await.map_err(failed)?;
    for key in &setup.config.keys {
        if let Some(data) = changed.get(&key.name) {
            let view = View::of_node(&key.subject, data.clone());
            views.insert(&key.registry, &key.subject, &view);
        }
    }
    let saved = Arc::new(SavedSource { views, origin: format!("--try {shown}") });
    let (report, rendered) = render_in_memory(&setup, &PassRequest::dry_run(names.clone(), LIMIT), saved).await?;
    for (template, _, result) in &report.files {
        if !names.iter().any(|name| is_or_has(name, template)) {
            continue;
        }
        match result {
            FileResult::Published(Outcome::Failed(failure)) => return Err(failed(failure.message.clone())),
            FileResult::Published(_) | FileResult::NoKey => {}
            _ => {
                let reasons: Vec<&str> = report.holds.iter().map(|(_, _, reason, _)| reason.as_str()).collect();
                return Err(failed(format!("{template} cannot be rendered: {}", reasons.join("; "))));
            }
        }
    }
    let mut notes = check_files(&setup, &rendered).await.map_err(failed)?;
    notes.push(format!("--try {shown}: rendered and checked: {}", names.join(", ")));
    Ok(notes)
}

/// Runs the check of each rendered file. Returns which were not run.
async fn check_files(setup: &Setup, rendered: &BTreeMap<Arc<str>, Vec<u8>>) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    let directory = tempfile::Builder::new().prefix("rosterd-try-").tempdir();
    let directory = directory.map_err(|why| format!("cannot create a directory: {why}"))?;
    let mut paths = UnitPaths::new();
    for (at, (template, bytes)) in rendered.iter().enumerate() {
        let config = setup.config.templates.iter().find(|config| is_or_has(&config.name, template));
        let name = config.and_then(|config| config.dest.file_name()).unwrap_or_default();
        let path = directory.path().join(at.to_string()).join(name);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir).and_then(|()| std::fs::write(&path, bytes));
        written.map_err(|why| format!("cannot write {}: {why}", path.display()))?;
        paths.insert(Arc::clone(template), path);
    }
    for template in rendered.keys() {
        let Some(config) = setup.config.templates.iter().find(|config| is_or_has(&config.name, template)) else {
            continue;
        };
        if config.placing.block.is_some() && config.check.is_some() {
            notes.push(format!("{template}: its check was not run, because it writes only a part of its file"));
            continue;
        }
        let config = crate::config::TemplateConfig { name: Arc::clone(template), ..(**config).clone() };
        files::check(&config, &paths, &CancellationToken::new()).await.map_err(|failure| failure.message)?;
    }
    Ok(notes)
}

fn new_nodes(tree: &Tree, plan: &Plan) -> NewNodes {
    let data = |object: &Option<json::Object>| object.as_ref().map(|object| Bytes::from(json::bytes(object)));
    let confs = plan.confs.iter().map(|diff| (tree.service.conf(&diff.env), data(&diff.after)));
    let views = plan.views.iter().map(|diff| (tree.service.view(&diff.env), data(&diff.after)));
    let others = plan.frozen.iter().map(|(path, data)| (path.clone(), data.as_deref().map(Bytes::from)));
    confs.chain(views).chain(others).collect()
}

/// The new data of a key, if the change reaches it.
fn new_data(tree: &Tree, plan: &Plan, new: &NewNodes, key: &KeyConfig) -> Option<Seen<Bytes>> {
    let path = match &key.subject {
        Subject::Node(path) => path.clone(),
        Subject::Mapped { service, host } if *service == tree.service.path() => {
            let now = || tree.hosts().find(|(name, _)| **name == **host).map(|(_, path)| path.to_owned());
            let mapped = plan.hosts.get(&**host).map_or_else(now, |(_, after)| after.clone());
            let path = match mapped {
                Some(path) => NodePath::parse(&path).ok()?,
                None => tree.service.default_destination().path,
            };
            // A host that moves reads another node, which need not change.
            if plan.hosts.contains_key(&**host) && !new.contains_key(&path) {
                return current(tree, &path).map(Seen::Present);
            }
            path
        }
        Subject::Mapped { .. } | Subject::Members(_) | Subject::Keyed { .. } => return None,
    };
    Some(match new.get(&path)? {
        Some(data) => Seen::Present(Arc::clone(data)),
        None => Seen::Absent,
    })
}

/// The data of a node that a host can read.
fn current(tree: &Tree, path: &NodePath) -> Option<Bytes> {
    let node = match tree.service.destination(path.as_str()).ok()?.kind {
        Kind::Conf(env) => &tree.envs.get(&env)?.conf,
        Kind::View(env) => tree.envs.get(&env)?.view.as_ref()?,
        Kind::Pin(..) | Kind::Canary(..) | Kind::Other => tree.frozen.get(path)?,
    };
    Some(Arc::clone(&node.data))
}

/// Reads all rosters and keys of a configuration.
async fn read_views(config: &Config) -> Result<SavedViews, String> {
    let mut saved = SavedViews::default();
    for registry in &config.registries {
        let rosters = config.rosters.iter().filter(|roster| roster.registry == registry.name);
        let keys = config.keys.iter().filter(|key| key.registry == registry.name);
        let subjects = rosters.map(|roster| roster.subject.clone()).chain(keys.map(|key| key.subject.clone()));
        let subjects: BTreeSet<Subject> = subjects.collect();
        if subjects.is_empty() {
            continue;
        }
        for (subject, view) in read_subjects(registry, config, &subjects).await? {
            saved.insert(&registry.name, &subject, &view);
        }
    }
    Ok(saved)
}

async fn read_subjects(
    registry: &RegistryConfig,
    config: &Config,
    wanted: &BTreeSet<Subject>,
) -> Result<BTreeMap<Subject, View>, String> {
    let state = StateAccess::ReadOnly(config.agent.state_dir.clone());
    // The sender is kept, because a registry can stop when the set of subjects can no longer change.
    let (_subjects, followed) = channel::channel(wanted.iter().map(|subject| (subject.clone(), 0)).collect());
    let (tell, mut told) = mpsc::channel(64);
    let stop = CancellationToken::new();
    let following = tokio::spawn(watch::open(registry, &state).follow(followed, tell, stop.clone()));
    let (mut views, mut reason) = (BTreeMap::new(), None);
    let reading = async {
        while views.len() < wanted.len() {
            let Some(event) = told.recv().await else { break };
            match event.update {
                Update::Reset { subject, view, .. } => _ = views.insert(subject, view),
                Update::Unreachable(unreachable) => reason = Some(unreachable.reason),
                Update::Changed { .. } | Update::Suspended | Update::Connected => {}
            }
        }
    };
    let _ = timeout(LIMIT, reading).await;
    stop.cancel();
    drop(told);
    let _ = timeout(Duration::from_secs(2), following).await;
    if views.len() < wanted.len() {
        let why = reason.unwrap_or_else(|| "no answer".to_owned());
        return Err(format!("the rosters of registry {} cannot be read: {why}", registry.name));
    }
    Ok(views)
}
