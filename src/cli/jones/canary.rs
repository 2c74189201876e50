//! `canary`, `promote` and `abort`: hosts that read what a change would make of their view.

use std::path::PathBuf;

use clap::Args;

use crate::cli::agent_commands::print;
use crate::error::{Exit, Fatal};
use crate::jones::canary::{self, Share, Trial};
use crate::jones::diff::hunks;
use crate::jones::json::Json;
use crate::jones::path::Service;
use crate::jones::pins::failed;
use crate::jones::tree::Tree;
use crate::jones::words::{hosts as hosts_text, name};

use super::common::{Context, Target, WriteOptions, host, say, service, target};
use super::conf::{assignment, read_object};

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

/// Runs `canary`.
pub async fn canary(context: &mut Context, args: CanaryArgs) -> Result<Exit, Fatal> {
    let service = &args.target.service;
    let tree = context.store.tree(service).await?;
    let trial = trial(&tree, &args)?;
    let share = args.percent.map_or_else(|| Share::Hosts(args.hosts.clone()), Share::Percent);
    let proposal = canary::begin(&tree, &args.id, &trial, &share)?;
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

/// Runs `promote`.
pub async fn promote(context: &mut Context, args: PromoteArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.service).await?;
    let proposal = canary::promote(&tree, &args.id)?;
    context.submit(tree, proposal, &format!("promote {}", args.id), &args.write).await
}

/// Runs `abort`.
pub async fn abort(context: &mut Context, args: AbortArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.service).await?;
    let proposal = canary::abort(&tree, &args.id)?;
    context.submit(tree, proposal, &format!("abort {}", args.id), &args.write).await
}
