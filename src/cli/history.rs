//! `history`: prints what changed, from the running agent or from its state directory.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};

use super::agent_commands::{print, print_message, send};
use super::{DEFAULT_CONFIG, Global, wrong_config};
use crate::config;
use crate::config::HistoryConfig;
use crate::config::flags::duration;
use crate::config::resolve::AGENT_NAME;
use crate::control::{Answer, RequestBody};
use crate::error::{Exit, Fatal};
use crate::history::entry::millis;
use crate::history::{Entry, Trail, text};
use crate::log::json_safe;
use crate::report::words::field;
use crate::state::append_log::Access;
use crate::text::time::Zone;

/// The command line of `history`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct HistoryArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only what concerns this template, roster or service
    name: Option<String>,
    /// Only what happened at most this long ago
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// Print the entries as JSON, one on each line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show one entry, with its diff and the output of a failed command
    Show {
        /// The number of the entry
        number: u64,
        /// Print the entry as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the difference between two generations
    Diff {
        /// The number of the old one
        from: u64,
        /// The number of the new one
        to: u64,
    },
}

/// Runs `history`.
pub async fn history(global: &Global, args: HistoryArgs) -> Result<Exit, Fatal> {
    let HistoryArgs { action, name, since, json } = args;
    match action {
        None => {
            let start = since.and_then(|since| SystemTime::now().checked_sub(since)).map_or(0, millis);
            list(global, name, start, json).await
        }
        Some(Action::Show { number, json }) => show(global, number, json).await,
        Some(Action::Diff { from, to }) => diff(global, from, to).await,
    }
}

async fn list(global: &Global, name: Option<String>, since: u64, json: bool) -> Result<Exit, Fatal> {
    let entries = match ask(global, RequestBody::History { name: name.clone(), since }).await? {
        Source::Agent(answer) => match *answer {
            Answer::History(entries) => entries,
            other => return print_message(other),
        },
        Source::StateDir(trail) => trail.select(name.as_deref(), since),
    };
    let line = |entry: &Entry| if json { json_line(entry) } else { format!("{}\n", text::line(entry)) };
    print(&entries.iter().map(line).collect::<String>())?;
    if let (Some(name), true) = (name, entries.is_empty()) {
        // Standard error may be closed.
        let _ = writeln!(io::stderr(), "rosterd: nothing is recorded about {}", field(&name));
    }
    Ok(Exit::Done)
}

async fn show(global: &Global, number: u64, json: bool) -> Result<Exit, Fatal> {
    let (entry, is_kept) = match ask(global, RequestBody::HistoryEntry { number }).await? {
        Source::Agent(answer) => match *answer {
            Answer::Entry { entry, is_kept } => (*entry, is_kept),
            other => return print_message(other),
        },
        Source::StateDir(trail) => {
            let (entry, is_kept) = trail.find(number).map_err(|why| Fatal::new(Exit::Usage, why))?;
            (Entry::clone(&entry), is_kept)
        }
    };
    print(&if json { json_line(&entry) } else { text::page(&entry, is_kept, SystemTime::now(), &Zone::system()) })?;
    Ok(Exit::Done)
}

async fn diff(global: &Global, from: u64, to: u64) -> Result<Exit, Fatal> {
    match ask(global, RequestBody::HistoryDiff { from, to }).await? {
        Source::Agent(answer) => print_message(*answer),
        Source::StateDir(trail) => {
            print(&trail.diff(from, to).map_err(|(exit, why)| Fatal::new(exit, why))?)?;
            Ok(Exit::Done)
        }
    }
}

fn json_line(entry: &Entry) -> String {
    json_safe(&text::json(entry).to_string()) + "\n"
}

/// Where the history was found.
enum Source {
    Agent(Box<Answer>),
    StateDir(Box<Trail>),
}

/// Asks the running agent, whose history is complete even if its disk is full. Without one, the state directory is read.
async fn ask(global: &Global, body: RequestBody) -> Result<Source, Fatal> {
    let failed = match send(global, body).await {
        Err(failed) if failed.exit == Exit::NoAgent => failed,
        answer => return Ok(Source::Agent(Box::new(answer?))),
    };
    let state_dir = state_dir(global)?;
    if let Err(why) = std::fs::read_dir(&state_dir) {
        let message = format!("{}; and {} cannot be read: {why}", failed.message, state_dir.display());
        return Err(Fatal::new(Exit::NoAgent, message));
    }
    Ok(Source::StateDir(Box::new(Trail::open(&state_dir, HistoryConfig::default(), Access::ReadOnly))))
}

/// The state directory of the command line or the configuration. Other problems of the configuration are ignored.
fn state_dir(global: &Global) -> Result<PathBuf, Fatal> {
    if let Some(state_dir) = global.paths().state_dir {
        return Ok(state_dir);
    }
    let named = global.config();
    let file = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG));
    match config::read(&file, &global.overrides()) {
        Ok(loaded) => Ok(loaded.config.agent.state_dir),
        Err(refused) => match refused.rest {
            Some(rest) => Ok(rest.agent.state_dir),
            None if named.is_none() => Ok(Path::new("/var/lib").join(AGENT_NAME)),
            None => Err(wrong_config(&refused.problems)),
        },
    }
}
