//! `lock`: runs a command while holding a lock, and lists who holds it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Global;
use super::agent_commands::print;
use super::get::say;
use crate::agent::BlockedSignals;
use crate::config::{LogFormat, RegistryConfig, RegistryUrl};
use crate::error::{Exit, Fatal};
use crate::load::host::ThisHost;
use crate::log;
use crate::model::node_path::NodePath;
use crate::register::node::{acl, open_acl};
use crate::text::time::rough;
use crate::watch::StateAccess;
use crate::watch::lock::{InLine, LockNode, line};
use crate::watch::zookeeper::command::CommandSession;
use crate::watch::zookeeper::lock_session::LockSession;
use crate::zk::ServerError;

mod child;
mod passed_on;
mod turn;

use child::Child;
use passed_on::PassedOn;
use turn::{Limits, Turn};

/// How long to ask who holds the lock, when it was not got in time.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// The command line of `lock`.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// The node of the lock, as in kazoo's Lock(PATH)
    #[arg(value_name = "PATH", value_parser = path)]
    path: NodePath,
    /// Exit with code 3 if the lock is not got in this time; 0s does not wait [default: wait without limit]
    #[arg(long, value_name = "DURATION", value_parser = super::timeout)]
    wait_for: Option<Duration>,
    /// The identifier by which others know this contender [default: the full name of this host]
    #[arg(long, value_name = "TEXT")]
    identifier: Option<String>,
    /// What to do with CMD when the lock is lost while it runs
    #[arg(long, value_enum, default_value_t)]
    on_loss: OnLoss,
    /// How long the servers keep the lock without contact, for example after a crash [default: that of the
    /// configuration, or 10s]
    #[arg(long, value_name = "DURATION", value_parser = super::timeout)]
    session_timeout: Option<Duration>,
    /// How long to wait for the registry
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::timeout)]
    timeout: Duration,
    #[arg(long, value_name = "FILE")]
    #[arg(
        help = "Authenticate with the digest credentials in FILE, which contains one line: USER:PASSWORD [env: ROSTERD_AUTH]"
    )]
    auth: Option<PathBuf>,
    /// Print who holds the lock and who waits for it, in order, and run nothing
    #[arg(long, conflicts_with_all = ["command", "wait_for", "identifier", "on_loss", "session_timeout"])]
    list: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
    /// The command to run, and its arguments
    #[arg(last = true, value_name = "CMD", required_unless_present = "list")]
    command: Vec<String>,
}

/// What happens to the command when the lock is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OnLoss {
    /// Send it TERM
    #[default]
    Term,
    /// Let it run
    Continue,
}

fn path(text: &str) -> Result<NodePath, String> {
    NodePath::parse(text).map_err(|why| why.to_string())
}

/// Runs the command, or lists the contenders. Returns the exit code.
pub async fn lock(global: &Global, mut args: LockArgs, blocked: Option<BlockedSignals>) -> Result<u8, Fatal> {
    if !args.quiet {
        log::init(LogFormat::Text, None);
    }
    let (mut config, state) = global.registry_with_auth(args.auth.take())?;
    if !matches!(config.url, RegistryUrl::ZooKeeper { .. }) {
        return Err(Fatal::new(Exit::Usage, format!("{} has no locks: they need a ZooKeeper, zk://…", config.url)));
    }
    if args.list {
        drop(blocked);
        return list(&config, &state, &args).await.map(Exit::code);
    }
    config.session_timeout = args.session_timeout.unwrap_or(config.session_timeout);
    let mut signals = PassedOn::listen()?;
    drop(blocked);
    let identifier = args.identifier.clone().unwrap_or_else(|| ThisHost::find().full().fqdn);
    let node = LockNode {
        path: args.path.clone(),
        identifier: identifier.into(),
        acl: acl(&config.auth).into(),
        acl_above: open_acl().into(),
    };
    let release = CancellationToken::new();
    let events = LockSession::start(config.clone(), &state, node, release.clone());
    let limits = Limits { wait_for: args.wait_for, timeout: args.timeout, started: Instant::now() };
    let mut turn = Turn { path: &args.path, events, release, limits, quiet: args.quiet };
    let exit = match turn.wait(&mut signals).await {
        Ok(node) => {
            let node = args.path.child(&node);
            match Child::start(&args.command, &args.path, &node) {
                Ok(child) => child.run(&mut turn, &mut signals, args.on_loss).await,
                Err((code, why)) => {
                    say(&why);
                    code
                }
            }
        }
        Err(turn::Ended::Late) => {
            let line = read(&config, &state, &args.path, ASK_TIMEOUT).await.ok().flatten().unwrap_or_default();
            turn.release().await;
            let waited = humantime::format_duration(args.wait_for.unwrap_or_default());
            say(&format!("{} not got within {waited}: {}", args.path, holders(&line)));
            return Ok(Exit::Held.code());
        }
        Err(turn::Ended::Fatal(fatal)) => {
            turn.release().await;
            return Err(fatal);
        }
        Err(turn::Ended::Signal(number)) => passed_on::exit_code(number),
    };
    turn.release().await;
    Ok(exit)
}

/// Who holds the lock, in words.
fn holders(line: &[InLine]) -> String {
    let holders: Vec<String> = line.iter().filter(|one| one.holds).map(name).collect();
    match holders.as_slice() {
        [] => "another contender was before this one".to_owned(),
        [one] => format!("{one} holds it"),
        all => format!("{} hold it", all.join(", ")),
    }
}

/// A contender, for a person: its identifier, or its node if it has none.
fn name(one: &InLine) -> String {
    let identifier = one.identifier.as_deref().filter(|identifier| !identifier.is_empty());
    let name = identifier.map_or_else(|| format!("an unnamed contender ({})", one.node), str::to_owned);
    match one.age {
        Some(age) => format!("{name} (in line for {})", rough(age)),
        None => name,
    }
}

/// Prints the contenders: what each does, since when it is in the line, its node, and its identifier.
async fn list(config: &RegistryConfig, state: &StateAccess, args: &LockArgs) -> Result<Exit, Fatal> {
    let Some(line) = read(config, state, &args.path, args.timeout).await? else {
        say(&format!("{} does not exist: nobody has contended for it yet", args.path));
        return Ok(Exit::Done);
    };
    let row = |one: &InLine| {
        let does = match (one.holds, one.is_shared) {
            (true, false) => "holds",
            (true, true) => "shares",
            (false, _) => "waits",
        };
        let age = one.age.map_or_else(|| "-".to_owned(), rough);
        format!("{does}\t{age}\t{}\t{}\n", one.node, one.identifier.as_deref().unwrap_or("-"))
    };
    print(&line.iter().map(row).collect::<String>())?;
    Ok(Exit::Done)
}

/// Reads the contenders in a session of its own.
async fn read(
    config: &RegistryConfig,
    state: &StateAccess,
    path: &NodePath,
    limit: Duration,
) -> Result<Option<Vec<InLine>>, Fatal> {
    let mut session = CommandSession::new(config, state, limit);
    loop {
        let connection = session.connection().await?;
        let lost = match session.within(line(&connection, path)).await? {
            Ok(line) => {
                session.close().await;
                return line.map_err(|error| failed(path, error));
            }
            Err(lost) => lost,
        };
        session.lost(&lost);
    }
}

fn failed(path: &NodePath, error: ServerError) -> Fatal {
    Fatal::new(Exit::Failed, format!("cannot list the contenders of {path}: {error}"))
}
