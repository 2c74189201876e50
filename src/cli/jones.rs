//! `jones`: shows and edits the configuration trees of Jones.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Global, get};
use crate::error::{Exit, Fatal};
use crate::jones::store::MAX_REQUEST;
use crate::jones::store::reader::Reader;
use crate::watch;

mod canary;
mod check;
mod common;
mod conf;
mod diff;
mod files;
mod history;
mod hosts;
mod pins;
mod serve;
mod service;
mod view;

use common::Context;

/// The command line of `jones`.
#[derive(Debug, Args)]
pub struct JonesArgs {
    /// How long to wait for the registry
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = super::timeout)]
    timeout: Duration,
    #[arg(long, global = true, value_name = "FILE")]
    #[arg(
        help = "Authenticate with the digest credentials in FILE, which contains one line: USER:PASSWORD [env: ROSTERD_AUTH]"
    )]
    auth: Option<PathBuf>,
    /// The most bytes of a request: less than jute.maxbuffer of the servers
    #[arg(long, global = true, value_name = "BYTES", default_value_t = MAX_REQUEST)]
    max_request: usize,
    #[command(subcommand)]
    command: JonesCommand,
}

#[derive(Debug, Subcommand)]
enum JonesCommand {
    /// List the services, or the environments of a service
    Ls(view::LsArgs),
    /// Print the view of an environment or of a host
    Get(view::GetArgs),
    /// Set and remove keys of an environment
    Set(conf::SetArgs),
    /// Edit the own configuration of an environment in $VISUAL or $EDITOR
    Edit(conf::EditArgs),
    /// Replace the own configuration of an environment with a file
    Apply(conf::ApplyArgs),
    /// Create an environment
    Create(conf::CreateArgs),
    /// Delete an environment, or a service that has only its root environment
    Delete(conf::DeleteArgs),
    /// Create a service
    Init(service::InitArgs),
    /// Let hosts read the view of an environment
    Associate(hosts::AssociateArgs),
    /// Remove the associations of hosts
    Dissociate(hosts::DissociateArgs),
    /// Show what a file would change, what changed between revisions, or what was changed outside of the history
    Diff(diff::DiffArgs),
    /// List the revisions of a service
    History(history::HistoryArgs),
    /// Show a revision
    Show(history::ShowArgs),
    /// Make a new revision with the content of an old one
    Rollback(history::RollbackArgs),
    /// Let hosts read the view of their environment as it was at a revision
    Pin(pins::PinArgs),
    /// Let pinned hosts read the current view again
    Unpin(pins::UnpinArgs),
    /// Let some hosts read what a change would make of their view
    Canary(canary::CanaryArgs),
    /// Publish the change of a canary for all hosts
    Promote(canary::PromoteArgs),
    /// Drop a canary: its hosts read what they read before
    Abort(canary::AbortArgs),
    /// Find stale, empty and missing views, associations that lead nowhere, and more
    Check(check::CheckArgs),
    /// Write services as files: one JSON file an environment, and hosts.json
    Export(files::ExportArgs),
    /// Publish the files of an export
    Import(files::ImportArgs),
    /// Begin the history of services that were written by others
    Adopt(service::AdoptArgs),
    /// Serve the services over HTTP: pages, Jones's routes and an API
    Serve(serve::ServeArgs),
    /// Print Jones's credentials for a password
    Credential(service::CredentialArgs),
    /// Show or grant the access to the nodes of a service
    Acl(service::AclArgs),
}

/// Runs the command.
pub async fn jones(global: &Global, args: JonesArgs) -> Result<Exit, Fatal> {
    if let JonesCommand::Credential(args) = args.command {
        return service::credential(&args);
    }
    if let JonesCommand::Serve(serve) = args.command {
        return serve::serve(global, args.auth, args.timeout, args.max_request, serve).await;
    }
    if let JonesCommand::Get(asked) = &args.command
        && let Some(query) = asked.of_host(args.timeout)
    {
        let (config, state) = global.registry_with_auth(args.auth)?;
        return Ok(get::jones::get(&query, watch::open(&config, &state), &mut io::stdout().lock()).await);
    }
    if matches!(args.command, JonesCommand::Ls(_) | JonesCommand::Get(_))
        && let Some(mut reader) = common::other_registry(global, args.auth.clone(), args.timeout)?
    {
        match &args.command {
            JonesCommand::Ls(args) => return view::ls(&mut reader, args).await,
            JonesCommand::Get(args) => return view::get(&mut reader, args).await,
            _ => {}
        }
    }
    let mut context = Context::open(global, args.auth, args.timeout)?;
    context.store.max_request = args.max_request;
    let exit = run(&mut context, args.command).await;
    context.store.close().await;
    exit
}

async fn run(context: &mut Context, command: JonesCommand) -> Result<Exit, Fatal> {
    match command {
        JonesCommand::Ls(args) => view::ls(&mut Reader::Store(&mut context.store), &args).await,
        JonesCommand::Get(args) => view::get(&mut Reader::Store(&mut context.store), &args).await,
        JonesCommand::Set(args) => conf::set(context, args).await,
        JonesCommand::Edit(args) => conf::edit(context, args).await,
        JonesCommand::Apply(args) => conf::apply(context, args).await,
        JonesCommand::Create(args) => conf::create(context, args).await,
        JonesCommand::Delete(args) => conf::delete(context, args).await,
        JonesCommand::Init(args) => service::init(context, args).await,
        JonesCommand::Associate(args) => hosts::associate(context, args).await,
        JonesCommand::Dissociate(args) => hosts::dissociate(context, args).await,
        JonesCommand::Diff(args) => diff::diff(context, args).await,
        JonesCommand::History(args) => history::history(context, args).await,
        JonesCommand::Show(args) => history::show(context, args).await,
        JonesCommand::Rollback(args) => history::rollback(context, args).await,
        JonesCommand::Pin(args) => pins::pin(context, args).await,
        JonesCommand::Unpin(args) => pins::unpin(context, args).await,
        JonesCommand::Canary(args) => canary::canary(context, args).await,
        JonesCommand::Promote(args) => canary::promote(context, args).await,
        JonesCommand::Abort(args) => canary::abort(context, args).await,
        JonesCommand::Check(args) => check::check(context, args).await,
        JonesCommand::Export(args) => files::export(context, args).await,
        JonesCommand::Import(args) => files::import(context, args).await,
        JonesCommand::Adopt(args) => service::adopt(context, args).await,
        JonesCommand::Credential(args) => service::credential(&args),
        // It has sessions of its own.
        JonesCommand::Serve(_) => Ok(Exit::Usage),
        JonesCommand::Acl(args) => service::acl(context, args).await,
    }
}
