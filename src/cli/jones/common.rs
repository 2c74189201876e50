//! What the commands of `jones` have in common: their targets, the options of a write, and the review before it.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;

use crate::cli::agent_commands::print;
use crate::cli::{Global, set};
use crate::config::flags::working_dir;
use crate::config::{JonesCheck, RegistryUrl};
use crate::error::{Exit, Fatal};
use crate::jones::diff;
use crate::jones::entry::Entry;
use crate::jones::json::Object;
use crate::jones::path::{Env, Service};
use crate::jones::plan::Plan;
use crate::jones::proposal::Proposal;
use crate::jones::store::Store;
use crate::jones::store::reader::Reader;
use crate::jones::store::write::{Publication, Published};
use crate::jones::tree::Tree;
use crate::jones::{hosts, trial};
use crate::load::host;
use crate::text::time::utc;
use crate::watch::{self, StateAccess};

/// A service and an environment of it: `S` or `S/ENV`.
#[derive(Debug, Clone)]
pub struct Target {
    /// The service.
    pub service: Service,
    /// The environment; the root one for `S`.
    pub env: Env,
}

/// Parses `S` or `S/ENV`.
pub fn target(text: &str) -> Result<Target, String> {
    let (name, env) = text.split_once('/').unwrap_or((text, ""));
    if text.ends_with('/') {
        return Err("write SERVICE or SERVICE/ENVIRONMENT, without a slash at the end".to_owned());
    }
    let env = Env::parse(env).map_err(|why| why.to_string())?;
    Ok(Target { service: service(name)?, env })
}

/// Parses the name of a service.
pub fn service(text: &str) -> Result<Service, String> {
    Service::parse(text).map_err(|why| why.to_string())
}

/// Parses the name of a host.
pub fn host(text: &str) -> Result<String, String> {
    hosts::parse(text)
}

/// Parses `17` or `r17`.
pub fn revision(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix('r').unwrap_or(text);
    digits.parse().map_err(|_| "write the number of a revision, as in r17: rosterd jones history".to_owned())
}

/// The options of every command that writes.
#[derive(Debug, Clone, Default, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option")]
pub struct WriteOptions {
    /// The reason, which is kept in the history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Write without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would change, and write nothing
    #[arg(long, visible_alias = "noop")]
    pub dry_run: bool,
    /// With --dry-run: exit with code 2 if something would change
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// First render the templates of this rosterd.toml with the new views, and run their checks. Repeatable
    #[arg(long = "try", value_name = "CONFIG")]
    pub trials: Vec<PathBuf>,
    /// Write a change that is too large for one transaction in several
    #[arg(long)]
    pub staged: bool,
}

/// What a command works with.
pub struct Context {
    /// The services.
    pub store: Store,
    /// The checks of views, by service.
    checks: BTreeMap<String, JonesCheck>,
}

/// The registry, if it is no ZooKeeper, so that services can only be read. Nothing is contacted yet.
///
/// # Errors
/// None is configured, or the credentials cannot be read.
pub fn other_registry(
    global: &Global,
    auth: Option<PathBuf>,
    limit: Duration,
) -> Result<Option<Reader<'static>>, Fatal> {
    let (config, state) = global.registry_with_auth(auth)?;
    let is_other = !matches!(config.url, RegistryUrl::ZooKeeper { .. });
    Ok(is_other.then(|| Reader::Registry(watch::open(&config, &state), limit)))
}

impl Context {
    /// Nothing is contacted yet.
    ///
    /// # Errors
    /// No ZooKeeper is configured, or the credentials cannot be read.
    pub fn open(global: &Global, auth: Option<PathBuf>, timeout: Duration) -> Result<Self, Fatal> {
        let (config, state) = global.registry_with_auth(auth)?;
        let checks = match state {
            // Otherwise the registry is not that of the configuration.
            StateAccess::ReadOnly(_) => global.loaded()?.jones.checks,
            _ => BTreeMap::new(),
        };
        Ok(Self { store: Store::new(&config, &state, timeout)?, checks })
    }

    /// Runs the check of a service on the empty view that a new one has.
    ///
    /// # Errors
    /// It refuses it, in its own words.
    pub async fn check_new(&mut self, service: &Service) -> Result<(), Fatal> {
        if let Some(check) = self.checks.get(service.as_str()) {
            trial::check_views(check, service, &[(Env::ROOT, Object::new())]).await?;
            self.store.restart_limit();
        }
        Ok(())
    }

    /// Publishes a change of a service that was read as `tree`.
    ///
    /// # Errors
    /// It is refused, conflicts with what somebody else has written, or the registry is not reached.
    pub async fn submit(
        &mut self,
        tree: Tree,
        proposal: Proposal,
        op: &str,
        options: &WriteOptions,
    ) -> Result<Exit, Fatal> {
        let service = tree.service.clone();
        let publication = Publication { proposal, entry: entry(op, options), staged: options.staged };
        let check = self.checks.get(service.as_str()).cloned();
        let mut reviewer = Reviewer { options, check, shown: None };
        let published = self.store.publish(tree, &publication, async |tree, plan| reviewer.review(tree, plan).await);
        let published = published.await?;
        match published {
            Published::Done { revision, .. } => {
                say(&format!("{service}: published as r{revision}"));
                Ok(Exit::Done)
            }
            Published::Nothing => {
                say(&format!("{service}: nothing to change"));
                Ok(Exit::Done)
            }
            Published::Declined if options.dry_run => {
                Ok(if options.detailed_exitcode { Exit::Differs } else { Exit::Done })
            }
            Published::Declined => Err(Fatal::new(Exit::Failed, "nothing was written")),
        }
    }
}

/// The beginning of an entry: who, when, why.
pub fn entry(op: &str, options: &WriteOptions) -> Entry {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(set);
    let user = user.map_or_else(|| nix::unistd::Uid::current().to_string(), |user| user.to_string_lossy().into_owned());
    Entry {
        op: op.to_owned(),
        author: format!("{user}@{}", host::name()),
        via: "rosterd jones".to_owned(),
        comment: options.message.clone().unwrap_or_default(),
        at: utc(SystemTime::now()),
        id: format!("{:016x}", fastrand::u64(..)),
        ..Entry::default()
    }
}

/// Shows a change, and asks for it.
struct Reviewer<'a> {
    options: &'a WriteOptions,
    /// The check of the service's views.
    check: Option<JonesCheck>,
    /// What was shown last.
    shown: Option<String>,
}

impl Reviewer<'_> {
    async fn review(&mut self, tree: &Tree, plan: &Plan) -> Result<bool, Fatal> {
        let text = diff::text(&tree.service, plan);
        let is_first = self.shown.is_none();
        if self.shown.as_ref() != Some(&text) {
            if !is_first {
                say("somebody else changed other keys meanwhile; both changes are kept:");
            }
            print(&text)?;
        }
        self.shown = Some(text);
        if let Some(check) = &self.check {
            trial::check_views(check, &tree.service, &plan.new_views(&tree.service)).await?;
        }
        for config in &self.options.trials {
            for note in trial::try_config(&working_dir().join(config), tree, plan).await? {
                say(&note);
            }
        }
        if self.options.dry_run {
            return Ok(false);
        }
        // What was confirmed once stays so: only the other writer's keys are new.
        if is_first && !self.options.yes { ask("Publish this change?").await } else { Ok(true) }
    }
}

/// Asks a person at the terminal.
///
/// # Errors
/// There is no terminal.
pub async fn ask(question: &str) -> Result<bool, Fatal> {
    if !io::stdin().is_terminal() {
        let message = "nothing was written: standard input is not a terminal to ask at; add --yes to write";
        return Err(Fatal::new(Exit::Usage, message));
    }
    let question = format!("{question} [y/N] ");
    let asking = tokio::task::spawn_blocking(move || {
        let _ = io::stderr().write_all(question.as_bytes());
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    });
    Ok(asking.await.unwrap_or(false))
}

/// A note for a person.
pub fn say(text: &str) {
    crate::cli::get::say(text);
}
