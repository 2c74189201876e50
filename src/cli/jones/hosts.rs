//! `associate` and `dissociate`: which host reads which view.

use clap::{Args, ValueEnum};

use crate::error::{Exit, Fatal};
use crate::jones::nodemaps::Encoding;
use crate::jones::path::Service;
use crate::jones::proposal::{HostEdit, Proposal};
use crate::jones::tree::Tree;
use crate::jones::words::name;
use crate::text::command::rosterd;

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

/// The path that a host is associated with.
pub fn path_of(tree: &Tree, host: &str) -> Option<String> {
    tree.hosts().find(|(name, _)| *name == host).map(|(_, path)| path.to_owned())
}

/// Runs `associate`.
pub async fn associate(context: &mut Context, args: AssociateArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.target.service).await?;
    if !tree.envs.contains_key(&args.target.env) {
        let shown = name(&args.target.service, &args.target.env);
        let message =
            format!("there is no environment {shown}; create it with `{}`", rosterd(format!("jones create {shown}")));
        return Err(Fatal::new(Exit::Failed, message));
    }
    let wanted = args.target.service.view(&args.target.env).to_string();
    let edit = |host: String| {
        let base = path_of(&tree, &host);
        (host, HostEdit { base, wanted: Some(wanted.clone()), env: Some(args.target.env.clone()) })
    };
    let encoding = args.nodemaps.map(|spelling| match spelling {
        Spelling::Json => Encoding::Json,
        Spelling::Arrows => Encoding::Arrows,
    });
    let proposal = Proposal { hosts: args.hosts.into_iter().map(edit).collect(), encoding, ..Proposal::default() };
    context.submit(tree, proposal, "associate", &args.write).await
}

/// Runs `dissociate`.
pub async fn dissociate(context: &mut Context, args: DissociateArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.service).await?;
    let edit = |host: String| {
        let Some(base) = path_of(&tree, &host) else {
            return Err(Fatal::new(Exit::Failed, format!("{}: host {host} has no association", args.service)));
        };
        Ok((host, HostEdit { base: Some(base), wanted: None, env: None }))
    };
    let hosts = args.hosts.into_iter().map(edit).collect::<Result<_, _>>()?;
    let proposal = Proposal { hosts, ..Proposal::default() };
    context.submit(tree, proposal, "dissociate", &args.write).await
}
