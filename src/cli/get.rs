//! `get`: prints the members of a path, for Puppet, Chef and shell scripts. It needs no configuration, state or lock.
//!
//! It replaces Puppet's zkget. Unlike zkget, it never prints an empty list because of an outage, and it never replaces
//! a good answer in the cache with a bad one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::agent::progress::Progress;
use crate::config::flags::duration;
use crate::error::Exit;
use crate::log::plain;
use crate::model::node_path::Subject;
use crate::model::registry_event::{Unreachable, Update, View};
use crate::payload::{Payload, mask_credentials};
use crate::watch::Registry;

pub(super) mod agent;
mod answer;
mod cache;
pub mod jones;
pub mod save;
#[cfg(test)]
mod tests;

/// The time limit for closing the session. The session owns nothing in the registry, so it can also expire.
const CLOSING: Duration = Duration::from_secs(1);

/// The command line of `get`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(group(clap::ArgGroup::new("kept").args(["cache", "agent"]).multiple(true)))]
pub struct GetArgs {
    /// The path of the members: /services/web, or /services/* for the members of each service
    #[arg(value_name = "PATH", required_unless_present = "save", value_parser = wanted)]
    pub paths: Vec<Wanted>,
    /// Exit with code 3 and print nothing if there are fewer than N members. 0 allows an empty list
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min: usize,
    /// Print only the first N members, in order of their names
    #[arg(long, value_name = "N", value_parser = max)]
    pub max: Option<NonZeroUsize>,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Output,
    /// The payload format of the nodes, or auto to detect it
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = payload)]
    payload: Payload,
    /// Treat nodes with children, and empty persistent nodes without a port, as members too
    #[arg(long)]
    every_child: bool,
    /// Wait for at least N members, but no longer than --timeout
    #[arg(long, value_name = "N")]
    pub wait_for: Option<usize>,
    /// Print nothing to standard error if the exit code is 0, for callers that merge standard output and standard error
    #[arg(short, long)]
    pub quiet: bool,
    /// How long to wait for the registry
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::timeout)]
    pub timeout: Duration,
    /// Cache the last good answer in FILE, and use it if the registry is unreachable
    #[arg(long, value_name = "FILE")]
    pub cache: Option<PathBuf>,
    /// The maximum age of a cached or stale answer
    #[arg(long, value_name = "DURATION", default_value = "48h", value_parser = duration, requires = "kept")]
    pub cache_max_age: Duration,
    /// Get the answer from the running agent, if it follows the path, instead of opening a session
    #[arg(long, conflicts_with = "exhibitor")]
    pub agent: bool,
    /// Ask this Exhibitor for the servers: http://HOST:PORT. Repeatable
    #[arg(long, value_name = "URL", value_parser = exhibitor)]
    pub exhibitor: Vec<String>,
    /// Save the members in FILE, for render --from. Without PATH: all rosters and keys of the configuration
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cache", "agent"])]
    pub save: Option<PathBuf>,
    /// The name of the registry in that file.
    #[arg(skip)]
    pub registry_name: String,
}

impl GetArgs {
    fn payload(&self) -> Payload {
        Payload { every_child: self.every_child, ..self.payload.clone() }
    }
}

/// A requested path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The path as written.
    pub text: String,
    /// What to follow in the registry.
    pub subject: Subject,
}

/// What `get` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// One name per line; if the path contains *, the key, a tab and the name
    #[default]
    Lines,
    /// A JSON array of names
    Json,
    /// A YAML list of names
    Yaml,
    /// A JSON array of members with all fields
    Members,
}

fn wanted(text: &str) -> Result<Wanted, String> {
    let subject = Subject::parse(text).map_err(|why| why.to_string())?;
    Ok(Wanted { text: text.to_owned(), subject })
}

pub fn payload(name: &str) -> Result<Payload, String> {
    Payload::parse(name).ok_or_else(|| format!("unknown format; known formats: {}", Payload::NAMES.join(", ")))
}

fn exhibitor(text: &str) -> Result<String, String> {
    crate::config::exhibitor(text).map_err(|wrong| wrong.to_string())
}

fn max(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "write a whole number, 1 or more".to_owned())
}

/// The result of reading the registry.
#[derive(Debug, Default)]
struct Gathered {
    /// The views of the paths that the registry has answered for.
    views: BTreeMap<Subject, View>,
    /// The views that are not current: for how long, and why. Only the agent has any.
    stale: BTreeMap<Subject, (Duration, String)>,
    /// What else there is to say of an answer.
    notes: BTreeSet<String>,
    /// The last error, while the registry cannot be reached.
    away: Option<Unreachable>,
    /// The last error that was reported during the wait.
    reported: String,
    /// The exit code without a usable answer, unless the registry is not reached.
    exit: Option<Exit>,
}

/// Prints the members of the paths. Messages go to standard error. `out` gets nothing unless the exit code is 0.
pub async fn get(args: &GetArgs, registry: Arc<dyn Registry>, out: &mut dyn Write) -> Exit {
    if let Some(exit) = check(args) {
        return exit;
    }
    let gathered = gather(args, registry).await;
    finish(args, &gathered, out)
}

/// Checks what the parser of the command line cannot check.
fn check(args: &GetArgs) -> Option<Exit> {
    let max = args.max.filter(|max| args.min > max.get())?;
    say(&format!("--min {} is greater than --max {max}: no answer is possible", args.min));
    Some(Exit::Usage)
}

/// Judges what was read, and prints it.
fn finish(args: &GetArgs, gathered: &Gathered, out: &mut dyn Write) -> Exit {
    let mut answer = answer::answer(args, gathered, SystemTime::now());
    if let Some(file) = args.save.as_ref().filter(|_| answer.exit == Exit::Done)
        && let Err(why) = save::save(file, &args.registry_name, &gathered.views)
    {
        answer.notes.push(why);
        answer.out.clear();
        answer.exit = Exit::Failed;
    }
    for note in gathered.notes.iter().chain(&answer.notes).filter(|_| !args.quiet || answer.exit != Exit::Done) {
        say(note);
    }
    print(out, &answer.out).map_or(answer.exit, |exit| exit.worse(answer.exit))
}

/// Prints one line to standard error. Errors are ignored.
pub fn say(message: &str) {
    let _ = writeln!(io::stderr(), "rosterd: {}", mask_credentials(&plain(message)));
}

/// Writes the answer. Returns an exit code on failure. A closed pipe (`| head`) is not a failure.
pub fn print(out: &mut dyn Write, text: &str) -> Option<Exit> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => None,
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => None,
        Err(why) => {
            say(&format!("cannot write to standard output: {why}"));
            Some(Exit::Failed)
        }
    }
}

/// Follows the paths until each has an answer with the members that `--wait-for` requires, or until the timeout.
async fn gather(args: &GetArgs, registry: Arc<dyn Registry>) -> Gathered {
    let subjects = args.paths.iter().map(|path| path.subject.clone());
    gather_all(args, subjects.collect(), registry).await
}

/// The same for any subjects.
async fn gather_all(args: &GetArgs, wanted: BTreeSet<Subject>, registry: Arc<dyn Registry>) -> Gathered {
    let subjects: crate::watch::Subjects = wanted.iter().map(|subject| (subject.clone(), 0)).collect();
    let count = subjects.len();
    let mut progress = if args.quiet { Progress::silent() } else { Progress::new(args.timeout) };
    // The sender is kept, because a registry can stop when the set of subjects can no longer change.
    let (_subjects, followed) = watch::channel(subjects);
    let (tell, mut told) = mpsc::channel(64);
    let stop = CancellationToken::new();
    let following = tokio::spawn(registry.follow(followed, tell, stop.clone()));
    let mut known = Gathered::default();
    let asking = async {
        while known.views.len() < count || !known.views.values().all(|view| answer::enough(args, view)) {
            // The registry has ended. Its last events remain valid.
            let event = tokio::select! {
                event = told.recv() => event,
                () = progress.due() => {
                    progress.say(&known.missing(args, &wanted));
                    continue;
                }
            };
            let Some(event) = event else { break };
            known.learn(event.update);
            if known.away.as_ref().is_some_and(|away| away.is_final) {
                break;
            }
            if !args.quiet {
                known.report(args.timeout);
            }
        }
    };
    // After the timeout, the answer is made from what is known.
    let _ = timeout(args.timeout, asking).await;
    stop.cancel();
    drop(told);
    // The runtime has reported a panic, and the answer is known already.
    let _ = timeout(CLOSING, following).await;
    known
}

impl Gathered {
    fn learn(&mut self, update: Update) {
        match update {
            Update::Reset { subject, view, .. } => {
                self.away = None;
                self.views.insert(subject, view);
            }
            Update::Changed { subject, changes, .. } => {
                if let Some(view) = self.views.get_mut(&subject) {
                    for change in changes {
                        view.apply(change);
                    }
                }
            }
            // The views may be out of date until they are read again.
            Update::Suspended => self.views.clear(),
            Update::Connected => self.away = None,
            Update::Unreachable(unreachable) => {
                self.views.clear();
                self.away = Some(unreachable);
            }
        }
    }

    /// The paths without an answer, or with too few members for `--wait-for`.
    fn missing(&self, args: &GetArgs, wanted: &BTreeSet<Subject>) -> String {
        let is_missing = |subject: &&Subject| !self.views.get(*subject).is_some_and(|view| answer::enough(args, view));
        wanted.iter().filter(is_missing).map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Reports why the command waits, each reason once.
    fn report(&mut self, limit: Duration) {
        if let Some(away) = self.away.as_ref().filter(|away| away.reason != self.reported) {
            say(&format!("{}; retrying for up to {}", away.reason, humantime::format_duration(limit)));
            self.reported.clone_from(&away.reason);
        }
    }
}
