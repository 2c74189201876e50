//! `associate` and `dissociate`: which host reads which view.

use clap::{Args, ValueEnum};

use crate::error::{Exit, Fatal};
use crate::jones::hosts;
use crate::jones::nodemaps::Encoding;
use crate::jones::path::Service;
use crate::jones::proposal::Proposal;

use super::common::{Context, Target, WriteOptions, host, service, target};

/// The command line of `associate`.
#[derive(Debug, Args)]
pub struct AssociateArgs {
    /// SERVICE/ENVIRONMENT, or SERVICE for its root environment
    #[arg(value_parser = target)]
    target: Target,
    /// The hosts, by the name that their client has for them
    #[arg(required = true, value_parser = host)]
    hosts: Vec<String>,
    /// Write nodemaps in this encoding from now on [default: the one that it has; json if it is empty]
    #[arg(long, value_name = "ENCODING", value_enum)]
    nodemaps: Option<Spelling>,
    #[command(flatten)]
    write: WriteOptions,
}

/// An encoding of `nodemaps`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Spelling {
    /// As Jones 1.0 writes it
    Json,
    /// NAME -> PATH lines, which Jones wrote before 1.0 and its client 0.5.4 reads
    Arrows,
}

/// The command line of `dissociate`.
#[derive(Debug, Args)]
pub struct DissociateArgs {
    /// SERVICE
    #[arg(value_parser = service)]
    service: Service,
    /// The hosts
    #[arg(required = true, value_parser = host)]
    hosts: Vec<String>,
    #[command(flatten)]
    write: WriteOptions,
}

/// Runs `associate`.
pub async fn associate(context: &mut Context, args: AssociateArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.target.service).await?;
    let encoding = args.nodemaps.map(|spelling| match spelling {
        Spelling::Json => Encoding::Json,
        Spelling::Arrows => Encoding::Arrows,
    });
    let proposal = Proposal { encoding, ..hosts::associate(&tree, &args.target.env, args.hosts)? };
    context.submit(tree, proposal, "associate", &args.write).await
}

/// Runs `dissociate`.
pub async fn dissociate(context: &mut Context, args: DissociateArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.service).await?;
    let proposal = hosts::dissociate(&tree, args.hosts)?;
    context.submit(tree, proposal, "dissociate", &args.write).await
}
