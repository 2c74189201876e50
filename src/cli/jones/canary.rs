//! `canary`, `promote` and `abort`: hosts that read what a change would make of their view.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::cli::agent_commands::print;
use crate::error::{Exit, Fatal};
use crate::jones::diff::hunks;
use crate::jones::json::{self, Json, Object};
use crate::jones::path::{Env, Kind, Service};
use crate::jones::proposal::{ConfEdit, HostEdit, Proposal};
use crate::jones::tree::{Tree, fold};
use crate::jones::words::{hosts as hosts_text, name};
use crate::model::digest::digest;
use crate::model::node_path::NodePath;

use super::common::{Context, Target, WriteOptions, host, say, service, target};
use super::conf::{assignment, read_object};
use super::hosts::path_of;
use super::pins::{env_of, failed, former, put, sweep};

/// The command line of `canary`.
#[derive(Debug, Args)]
pub struct CanaryArgs {
    /// SERVICE or SERVICE/ENVIRONMENT
    #[arg(value_parser = target)]
    target: Target,
    /// The hosts that read the change
    #[arg(value_parser = host, required_unless_present = "percent")]
    hosts: Vec<String>,
    /// In place of hosts: this share of the hosts that the change would reach
    #[arg(long, value_name = "P", conflicts_with = "hosts", value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: Option<u8>,
    /// Set a key. Repeatable
    #[arg(long = "set", value_name = "KEY=JSON", value_parser = assignment)]
    assignments: Vec<(String, Json)>,
    /// Remove a key. Repeatable
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// Replace the whole configuration with a file, or with standard input (-)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["assignments", "unset"])]
    file: Option<PathBuf>,
    /// The name of the canary
    #[arg(long, value_name = "NAME", default_value = "canary", value_parser = service)]
    id: Service,
    #[command(flatten)]
    write: WriteOptions,
}

/// The command line of `promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// SERVICE
    #[arg(value_parser = service)]
    service: Service,
    /// The name of the canary
    #[arg(default_value = "canary", value_parser = service)]
    id: Service,
    #[command(flatten)]
    write: WriteOptions,
}

/// The command line of `abort`.
#[derive(Debug, Args)]
pub struct AbortArgs {
    /// SERVICE
    #[arg(value_parser = service)]
    service: Service,
    /// The name of the canary
    #[arg(default_value = "canary", value_parser = service)]
    id: Service,
    #[command(flatten)]
    write: WriteOptions,
}

/// The record of a canary: the change that it tries.
struct Trial {
    env: Env,
    base: Object,
    wanted: Object,
}

fn record_of(service: &Service, id: &Service) -> NodePath {
    service.records().child("canary").child(id.as_str())
}

impl Trial {
    fn write(&self) -> Vec<u8> {
        let mut out = Object::new();
        out.insert("env".to_owned(), self.env.to_string().into());
        out.insert("base".to_owned(), Json::Object(self.base.clone()));
        out.insert("conf".to_owned(), Json::Object(self.wanted.clone()));
        json::bytes(&out)
    }

    fn read(tree: &Tree, id: &Service) -> Result<Self, Fatal> {
        let path = record_of(&tree.service, id);
        let Some(node) = tree.frozen.get(&path) else {
            let known = tree.frozen.keys().filter(|other| parent_is(other, &tree.service.records().child("canary")));
            let known: Vec<&str> = known.map(NodePath::name).collect();
            let known =
                if known.is_empty() { "there is none".to_owned() } else { format!("there is {}", known.join(", ")) };
            return Err(failed(format!("{}: there is no canary {id}: {known}", tree.service)));
        };
        let damaged = || failed(format!("{path} is not the record of a canary; abort it"));
        let object = node.object.as_ref().map_err(|_| damaged())?;
        let part = |key: &str| object.get(key).and_then(Json::as_object).cloned().ok_or_else(damaged);
        let env = object.get("env").and_then(Json::as_str).and_then(|env| Env::parse(env).ok()).ok_or_else(damaged)?;
        Ok(Self { env, base: part("base")?, wanted: part("conf")? })
    }
}

fn parent_is(path: &NodePath, parent: &NodePath) -> bool {
    parent.segments_below(path.as_str()).is_some_and(|segments| segments.len() == 1)
}

/// Runs `canary`.
pub async fn canary(context: &mut Context, args: CanaryArgs) -> Result<Exit, Fatal> {
    let service = &args.target.service;
    let tree = context.store.tree(service).await?;
    if tree.frozen.contains_key(&record_of(service, &args.id)) {
        let message = format!(
            "{service}: there is a canary {0} already; promote or abort it, or give this one another --id",
            args.id
        );
        return Err(failed(message));
    }
    let trial = trial(&tree, &args)?;
    let hosts = chosen(&tree, &args)?;
    let mut proposal = Proposal::default();
    let confs = |env: &Env| tree.envs.get(env).map(|nodes| &nodes.conf.object);
    let wanted = Ok(trial.wanted.clone());
    for (host, env) in hosts {
        let view = fold(&env, |env| if *env == trial.env { Some(&wanted) } else { confs(env) });
        let view = view.map_err(|why| failed(format!("{}: {}", name(service, &why.env), why.reason)))?;
        let (path, base) = (service.canary(args.id.as_str(), &env), path_of(&tree, &host));
        put(&mut proposal.nodes, &tree, &service.path(), path.clone(), json::bytes(&view));
        let record = record_of(service, &args.id).child(&host);
        let before = base.clone().unwrap_or_default().into_bytes();
        put(&mut proposal.nodes, &tree, &service.records(), record, before);
        proposal.hosts.insert(host, HostEdit { base, wanted: Some(path.to_string()), env: Some(env) });
    }
    put(&mut proposal.nodes, &tree, &service.records(), record_of(service, &args.id), trial.write());
    proposal.expected.insert(record_of(service, &args.id), None);
    let count = hosts_text(proposal.hosts.len());
    let (shown, changes) = (name(service, &trial.env), hunks(Some(&trial.base), Some(&trial.wanted)));
    print(&format!("{shown}: own configuration, for {count}\n{changes}"))?;
    let exit = context.submit(tree, proposal, &format!("canary {}", args.id), &args.write).await?;
    if !args.write.dry_run {
        say(&format!("{service}: the change reaches {count}; end the canary with promote or abort"));
    }
    Ok(exit)
}

/// The change that a canary tries.
fn trial(tree: &Tree, args: &CanaryArgs) -> Result<Trial, Fatal> {
    let (service, env) = (&args.target.service, args.target.env.clone());
    let node = tree.envs.get(&env).map(|nodes| &nodes.conf.object);
    let shown = name(service, &env);
    let base = node.ok_or_else(|| failed(format!("there is no environment {shown}")))?;
    let base = base.clone().map_err(|why| failed(format!("{shown}: {why}")))?;
    let wanted = if let Some(file) = &args.file {
        read_object(file)?
    } else {
        let mut wanted = base.clone();
        wanted.extend(args.assignments.iter().cloned());
        for key in &args.unset {
            wanted.shift_remove(key);
        }
        wanted
    };
    if wanted == base {
        return Err(Fatal::new(
            Exit::Usage,
            format!("{shown}: a canary needs a change: --set KEY=JSON, --unset KEY or --file FILE"),
        ));
    }
    Ok(Trial { env, base, wanted })
}

/// The hosts of a canary, each with the environment whose view it reads.
fn chosen(tree: &Tree, args: &CanaryArgs) -> Result<Vec<(String, Env)>, Fatal> {
    let (service, env) = (&args.target.service, &args.target.env);
    let Some(percent) = args.percent else {
        let one = |host: &String| {
            let own = env_of(tree, host)?;
            if own.is_within(env) {
                return Ok((host.clone(), own));
            }
            let message = format!(
                "{service}: host {host} reads {}, which the change of {} does not reach",
                name(service, &own),
                name(service, env)
            );
            Err(failed(message))
        };
        return args.hosts.iter().map(one).collect();
    };
    let mut reached: Vec<(String, Env)> = tree
        .hosts()
        .filter_map(|(host, _)| Some((host.to_owned(), env_of(tree, host).ok()?)))
        .filter(|(_, own)| own.is_within(env))
        .collect();
    if reached.is_empty() {
        return Err(failed(format!("{}: the change reaches no associated host", name(service, env))));
    }
    // The same hosts for the same canary, whoever asks, and more of them with a larger share.
    reached.sort_by_key(|(host, _)| digest([args.id.as_str(), host.as_str()].into_iter()));
    let count = (reached.len() * usize::from(percent)).div_ceil(100);
    reached.truncate(count);
    Ok(reached)
}

/// The end of a canary: its hosts read what they read before, and its nodes are deleted.
fn end(tree: &Tree, id: &Service) -> Proposal {
    let service = &tree.service;
    let mut proposal = Proposal::default();
    let name: Arc<str> = Arc::from(id.as_str());
    for (host, path) in tree.hosts() {
        let kind = service.destination(path).map(|found| found.kind);
        let Ok(Kind::Canary(of, env)) = kind else { continue };
        if of != name {
            continue;
        }
        let record = record_of(service, id).child(host);
        let wanted = match tree.frozen.get(&record) {
            Some(_) => former(tree, &record),
            None => Some(service.view(&env).to_string()),
        };
        proposal.hosts.insert(host.to_owned(), HostEdit { base: Some(path.to_owned()), wanted, env: Some(env) });
    }
    let record = record_of(service, id);
    let data = tree.frozen.get(&record).map(|node| node.data.to_vec());
    proposal.expected.insert(record.clone(), data);
    for root in [record, service.canary(id.as_str(), &Env::ROOT)] {
        sweep(&mut proposal.nodes, tree, &root, &BTreeSet::new());
    }
    proposal
}

/// Runs `promote`.
pub async fn promote(context: &mut Context, args: PromoteArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.service).await?;
    let trial = Trial::read(&tree, &args.id)?;
    let mut proposal = end(&tree, &args.id);
    let edit = ConfEdit { base: Some(trial.base), wanted: Some(trial.wanted), version: None };
    proposal.confs.insert(trial.env, edit);
    context.submit(tree, proposal, &format!("promote {}", args.id), &args.write).await
}

/// Runs `abort`.
pub async fn abort(context: &mut Context, args: AbortArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.service).await?;
    let proposal = end(&tree, &args.id);
    if proposal.nodes.is_empty() && proposal.hosts.is_empty() {
        Trial::read(&tree, &args.id)?;
    }
    context.submit(tree, proposal, &format!("abort {}", args.id), &args.write).await
}
