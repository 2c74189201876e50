//! `render` and `diff`: one pass, by the running agent or in this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::agent_commands::print;
use super::{Global, load_or_stop};
use crate::agent::BlockedSignals;
use crate::agent::executor::Output;
use crate::agent::render;
use crate::agent::render::Elsewhere;
use crate::config::flags::working_dir;
use crate::control::PassRequest;
use crate::error::{Exit, Fatal};
use crate::load::setup::ConfigSource;
use crate::model::saved_view::SavedViews;
use crate::watch::saved::SavedSource;

/// The command line of `render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    #[command(flatten)]
    request: PassRequest,
    /// Render an additional template. No configuration file is needed with this option
    #[arg(long, value_name = "IN:OUT[:CMD]")]
    template: Vec<String>,
    /// Make the members at a path available to the templates given with --template, as the variable NAME
    #[arg(long, value_name = "NAME=PATH", requires = "template")]
    roster: Vec<String>,
    /// Write the files below DIR instead, for review: nothing is checked or reloaded
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dry_run", "diff"])]
    output: Option<PathBuf>,
    /// Render with the members in FILE, as written by get --save, without contacting a registry
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// The command line of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The templates to render [default: all]
    names: Vec<String>,
    /// How long to wait for the rosters and keys that the templates need
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::timeout)]
    timeout: Duration,
}

/// Runs `render`.
pub async fn render(global: &Global, args: RenderArgs, blocked: Option<BlockedSignals>) -> Result<Exit, Fatal> {
    let RenderArgs { mut request, template, roster, output, from } = args;
    // The agent does not know what only the command line says.
    let alone = !template.is_empty() || global.registry().is_some() || output.is_some() || from.is_some();
    let source = ConfigSource { rosters: roster, is_offline: from.is_some(), ..global.source(template) };
    if from.is_some() && output.is_none() && !request.dry_run && source.file.is_some() {
        let message = "--from would replace this host's files with files rendered from saved members: add --output DIR or \
                       --dry-run";
        return Err(Fatal::new(Exit::Usage, message));
    }
    // The state directory is only read, and nothing is checked or reloaded.
    request.dry_run |= output.is_some();
    let elsewhere = Elsewhere {
        saved: from.as_deref().map(saved).transpose()?.map(Arc::new),
        output: output.map(|directory| Output::Directory(working_dir().join(directory))),
    };
    make_pass(&source, request, alone, elsewhere, blocked).await
}

/// Runs `diff`.
pub async fn diff(global: &Global, args: DiffArgs, blocked: Option<BlockedSignals>) -> Result<Exit, Fatal> {
    let request = PassRequest { diff: true, detailed_exitcode: true, ..PassRequest::dry_run(args.names, args.timeout) };
    make_pass(&global.source(vec![]), request, global.registry().is_some(), Elsewhere::default(), blocked).await
}

async fn make_pass(
    source: &ConfigSource,
    request: PassRequest,
    alone: bool,
    elsewhere: Elsewhere,
    blocked: Option<BlockedSignals>,
) -> Result<Exit, Fatal> {
    let Some((mut setup, signals)) = load_or_stop(source, blocked).await? else {
        return Err(Fatal::new(Exit::Failed, "stopped by a signal before the pass began"));
    };
    // What this host knows does not belong to saved members.
    setup.stateful &= elsewhere.saved.is_none();
    let (exit, diff) = render::render(setup, request, alone, elsewhere, signals).await?;
    print(&diff).map(|()| exit)
}

/// Reads a file of `get --save`.
fn saved(file: &Path) -> Result<SavedSource, Fatal> {
    let shown = file.display();
    let views = std::fs::read(file).map_err(|why| why.to_string()).and_then(|bytes| SavedViews::parse(&bytes));
    let views = views.map_err(|why| Fatal::new(Exit::Config, format!("cannot use {shown}: {why}")))?;
    Ok(SavedSource { views, origin: format!("{shown} (rosterd get --save)") })
}
