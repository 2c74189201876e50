//! `pin` and `unpin`: hosts that read their view as it was.

use clap::Args;

use crate::error::{Exit, Fatal};
use crate::jones::path::Service;
use crate::jones::store::history::entries;
use crate::jones::{past, pins};

use super::common::{Context, WriteOptions, host, revision, service};

/// The command line of `pin`.
#[derive(Debug, Args)]
pub struct PinArgs {
    /// SERVICE
    #[arg(value_parser = service)]
    service: Service,
    /// The hosts
    #[arg(required = true, value_parser = host)]
    hosts: Vec<String>,
    /// The revision
    #[arg(long, value_name = "REV", value_parser = revision)]
    rev: u64,
    #[command(flatten)]
    write: WriteOptions,
}

/// The command line of `unpin`.
#[derive(Debug, Args)]
pub struct UnpinArgs {
    /// SERVICE
    #[arg(value_parser = service)]
    service: Service,
    /// The hosts
    #[arg(required = true, value_parser = host)]
    hosts: Vec<String>,
    #[command(flatten)]
    write: WriteOptions,
}

/// Runs `pin`.
pub async fn pin(context: &mut Context, args: PinArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.service).await?;
    let history = context.store.history(&args.service).await?;
    let past = past::at(&entries(&history), args.rev, &tree).map_err(pins::failed)?;
    let proposal = pins::pin(&tree, &past, args.rev, args.hosts)?;
    context.submit(tree, proposal, &format!("pin to r{}", args.rev), &args.write).await
}

/// Runs `unpin`.
pub async fn unpin(context: &mut Context, args: UnpinArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.service).await?;
    let proposal = pins::unpin(&tree, args.hosts)?;
    context.submit(tree, proposal, "unpin", &args.write).await
}
