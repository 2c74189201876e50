//! `diff`: what would change, or has changed.

use std::path::PathBuf;

use clap::Args;

use crate::cli::agent_commands::print;
use crate::error::{Exit, Fatal};
use crate::jones::diff::hunks;
use crate::jones::entry::Entry;
use crate::jones::json::Object;
use crate::jones::outside::outside;
use crate::jones::path::Env;
use crate::jones::plan::Plan;
use crate::jones::proposal::{ConfEdit, Proposal};
use crate::jones::words::name;
use crate::jones::{diff as text, past};
use crate::log::plain;

use super::common::{Context, Target, revision, say, target};
use super::conf::read_object;

/// The command line of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// SERVICE or SERVICE/ENVIRONMENT
    #[arg(value_parser = target)]
    target: Target,
    /// A file with the new configuration of the environment, or - for standard input
    #[arg(conflicts_with = "rev")]
    file: Option<PathBuf>,
    /// Two revisions, or one and the current state: r3..r7 or r3..
    #[arg(long, value_name = "A..B", value_parser = revisions)]
    rev: Option<Revisions>,
}

#[derive(Debug, Clone, Copy)]
struct Revisions(u64, Option<u64>);

fn revisions(text: &str) -> Result<Revisions, String> {
    let (from, to) = text.split_once("..").ok_or("write A..B, or A.. for the current state")?;
    Ok(Revisions(revision(from)?, if to.is_empty() { None } else { Some(revision(to)?) }))
}

/// Runs `diff`. Returns 2 if something differs.
pub async fn diff(context: &mut Context, args: DiffArgs) -> Result<Exit, Fatal> {
    let text = match (&args.file, args.rev) {
        (Some(file), _) => of_file(context, &args.target, read_object(file)?).await?,
        (None, Some(revisions)) => between(context, &args.target, revisions).await?,
        (None, None) => since_history(context, &args.target).await?,
    };
    print(&text)?;
    Ok(if text.is_empty() { Exit::Done } else { Exit::Differs })
}

/// What a new configuration would change: it, then the views.
async fn of_file(context: &mut Context, target: &Target, wanted: Object) -> Result<String, Fatal> {
    let tree = context.store.tree(&target.service).await?;
    let base = tree.envs.get(&target.env).map(|nodes| nodes.conf.object.clone().unwrap_or_default());
    let edit = ConfEdit { base, wanted: Some(wanted), version: None };
    let proposal = Proposal { confs: [(target.env.clone(), edit)].into_iter().collect(), ..Proposal::default() };
    let change = proposal.rebase(&tree)?;
    if change.is_empty() {
        return Ok(String::new());
    }
    let plan = Plan::new(&tree, &change, Entry::default()).map_err(|why| Fatal::new(Exit::Failed, why))?;
    Ok(text::text(&tree.service, &plan))
}

/// How the own configurations at or below the environment differ between two revisions.
async fn between(context: &mut Context, target: &Target, revisions: Revisions) -> Result<String, Fatal> {
    let tree = context.store.any_tree(&target.service).await?;
    let history = context.store.history(&target.service).await?;
    let entries = history.iter().filter_map(|(number, it)| Some((*number, it.entry.as_ref().ok()?))).collect();
    let at = |revision| past::at(&entries, revision, &tree).map_err(|why| Fatal::new(Exit::Failed, why));
    let from = at(revisions.0)?.confs;
    let to = match revisions.1 {
        Some(to) => at(to)?.confs,
        None => tree.envs.iter().map(|(env, nodes)| (env.clone(), nodes.conf.object.clone())).collect(),
    };
    let mut envs: Vec<&Env> = from.keys().chain(to.keys()).filter(|env| env.is_within(&target.env)).collect();
    envs.sort();
    envs.dedup();
    let mut out = String::new();
    for env in envs {
        let (before, after) = (from.get(env), to.get(env));
        let shown = name(&target.service, env);
        if let Some(Err(why)) = before.or(after).filter(|conf| conf.is_err()) {
            say(&format!("{shown}: {why}"));
            continue;
        }
        let get = |conf: Option<&'_ Result<Object, String>>| conf.and_then(|conf| conf.as_ref().ok()).cloned();
        let (before, after) = (get(before), get(after));
        if before != after {
            out += &(shown + ": own configuration\n");
            out += &hunks(before.as_ref(), after.as_ref());
        }
    }
    Ok(out)
}

/// What was changed outside of the history.
async fn since_history(context: &mut Context, target: &Target) -> Result<String, Fatal> {
    let tree = context.store.tree(&target.service).await?;
    let history = context.store.history(&target.service).await?;
    let mut out = String::new();
    for found in outside(&tree, &history).into_iter().filter(|found| found.env.is_within(&target.env)) {
        let now = tree.envs.get(&found.env).and_then(|nodes| nodes.conf.object.as_ref().ok());
        out += &plain(&found.text(&target.service));
        out.push('\n');
        out += &hunks(found.known(), now);
    }
    Ok(out)
}
