//! `history`, `show` and `rollback`: the revisions of a service.

use clap::Args;

use crate::cli::agent_commands::print;
use crate::error::{Exit, Fatal};
use crate::jones::diff::hunks;
use crate::jones::entry::Entry;
use crate::jones::outside::outside;
use crate::jones::past;
use crate::jones::path::{Env, Service};
use crate::jones::store::history::{Recorded, entries};
use crate::jones::words::{listed, name};
use crate::log::plain;
use crate::text::command::rosterd;

use super::common::{Context, Target, WriteOptions, revision, say, service, target};
use super::view::table;

/// The command line of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// SERVICE, or SERVICE/ENVIRONMENT for the revisions of one environment
    #[arg(value_parser = target)]
    target: Target,
    /// Only the newest N
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
}

/// The command line of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// SERVICE
    #[arg(value_parser = service)]
    service: Service,
    /// The revision
    #[arg(value_name = "REV", value_parser = revision)]
    revision: u64,
}

/// The command line of `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// SERVICE
    #[arg(value_parser = service)]
    service: Service,
    /// The revision whose content is wanted
    #[arg(value_name = "REV", value_parser = revision)]
    revision: u64,
    /// Only this environment [default: all]
    #[arg(long, value_name = "ENVIRONMENT", value_parser = env)]
    env: Option<Env>,
    #[command(flatten)]
    write: WriteOptions,
}

fn env(text: &str) -> Result<Env, String> {
    Env::parse(text).map_err(|why| why.to_string())
}

/// Runs `history`.
pub async fn history(context: &mut Context, args: HistoryArgs) -> Result<Exit, Fatal> {
    let Target { service, env } = &args.target;
    let tree = context.store.any_tree(service).await?;
    let history = context.store.history(service).await?;
    if history.is_empty() {
        say(&format!(
            "{service} has no history yet; begin one with `{}`",
            rosterd(&["jones", "adopt", service.as_str()])
        ));
        return Ok(Exit::Done);
    }
    let changed = outside(&tree, &history);
    for found in changed.iter().filter(|found| found.env.is_within(env)) {
        print(&format!("{}\n", plain(&found.text(service))))?;
    }
    let is_wanted = |recorded: &Recorded| match &recorded.entry {
        Ok(entry) => env.is_root() || entry.concerns(env),
        Err(_) => env.is_root(),
    };
    let wanted = history.iter().rev().filter(|(_, recorded)| is_wanted(recorded));
    let rows: Vec<Vec<String>> =
        wanted.take(args.last.unwrap_or(usize::MAX)).map(|(number, it)| row(*number, it)).collect();
    print(&table(&rows))?;
    Ok(Exit::Done)
}

fn row(number: u64, recorded: &Recorded) -> Vec<String> {
    match &recorded.entry {
        Ok(entry) => vec![
            format!("r{number}"),
            entry.at.clone(),
            entry.author.clone(),
            format!("{} {}", entry.op, subject(entry)),
            entry.comment.clone(),
        ],
        Err(why) => vec![format!("r{number}"), format!("not an entry: {why}")],
    }
}

/// What an entry changed, in a few words.
fn subject(entry: &Entry) -> String {
    let show = |env: &Env| if env.is_root() { "(root)".to_owned() } else { env.to_string() };
    let envs: Vec<String> = entry.changes.iter().map(|change| show(&change.env)).collect();
    let hosts: Vec<&String> = entry.nodemaps.keys().collect();
    [listed(&envs), listed(&hosts)].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Runs `show`.
pub async fn show(context: &mut Context, args: ShowArgs) -> Result<Exit, Fatal> {
    let history = context.store.history(&args.service).await?;
    let Some(recorded) = history.get(&args.revision) else {
        let known = match (history.keys().next(), history.keys().next_back()) {
            (Some(first), Some(last)) => format!("the history has r{first} to r{last}"),
            _ => "there is no history yet".to_owned(),
        };
        let message = format!("{}: there is no revision r{}: {known}", args.service, args.revision);
        return Err(Fatal::new(Exit::Failed, message));
    };
    let failed = |why: &String| Fatal::new(Exit::Failed, format!("r{} is not an entry: {why}", args.revision));
    let entry = recorded.entry.as_ref().map_err(failed)?;
    let mut head = vec![
        format!("revision r{}", args.revision),
        format!("change   {} {}", entry.op, subject(entry)),
        format!("author   {}", entry.author),
        format!("time     {}", entry.at),
        format!("via      {}", entry.via),
        format!("zxid     {:#x}", recorded.stat.czxid.0),
    ];
    if !entry.comment.is_empty() {
        head.push(format!("comment  {}", entry.comment));
    }
    let line = |text: String| plain(&text).into_owned() + "\n";
    let mut out: String = head.into_iter().map(line).collect();
    for change in &entry.changes {
        out.push('\n');
        out += &line(format!("{}: own configuration", name(&args.service, &change.env)));
        out += &hunks(past::former(&entries(&history), args.revision, change).as_ref(), change.after.as_ref());
    }
    for (host, (from, to)) in &entry.nodemaps {
        let show = |path: &Option<String>| path.clone().unwrap_or_else(|| "(no association)".to_owned());
        out += &line(format!("host {host}: {} -> {}", show(from), show(to)));
    }
    print(&out)?;
    Ok(Exit::Done)
}

/// Runs `rollback`.
pub async fn rollback(context: &mut Context, args: RollbackArgs) -> Result<Exit, Fatal> {
    let failed = |why: String| Fatal::new(Exit::Failed, why);
    let tree = context.store.tree(&args.service).await?;
    let history = context.store.history(&args.service).await?;
    let past = past::at(&entries(&history), args.revision, &tree).map_err(failed)?;
    let (proposal, newer) = past::rollback(&tree, &past, args.revision, args.env.as_ref()).map_err(failed)?;
    if !newer.is_empty() {
        let newer: Vec<String> = newer.iter().map(|env| name(&args.service, env)).collect();
        say(&format!("left as they are, because r{} does not have them: {}", args.revision, listed(&newer)));
    }
    context.submit(tree, proposal, &format!("rollback to r{}", args.revision), &args.write).await
}
