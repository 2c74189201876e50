//! The commands that send a request to the running agent.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use super::{DEFAULT_CONFIG, Global, wrong_config};
use crate::config::flags::duration;
use crate::config::{Config, StatusConfig, zk_watcher};
use crate::control::{Answer, RequestBody};
use crate::error::{Exit, Fatal};
use crate::report::words::{field, line};
use crate::state::pause::MAX_DURATION as MAX_PAUSE;
use crate::{config, control};

/// The time limit for the answer of the agent.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The same for `rollback`.
const ROLLBACK_TIMEOUT: Duration = Duration::from_hours(1);

/// How long `rollback` waits before it says for what.
const SILENCE: Duration = Duration::from_secs(1);

/// The command line of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The name of a template, roster, key or service
    name: String,
}

/// The command line of `accept`.
#[derive(Debug, Args)]
pub struct AcceptArgs {
    /// The name of the roster
    roster: String,
}

/// The command line of `pause`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// How long to pause, at most a year
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = length)]
    length: Duration,
    /// The reason, shown by status and explain
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// The command line of `drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// The name of the service
    service: String,
    /// How long to keep the service deregistered [default: until `rosterd undrain`]
    #[arg(long = "for", value_name = "DURATION", value_parser = length)]
    length: Option<Duration>,
    /// The reason, shown by status and explain
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// The command line of `undrain`.
#[derive(Debug, Args)]
pub struct UndrainArgs {
    /// The name of the service
    service: String,
}

/// The command line of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The template whose pin to end [default: the pause]
    template: Option<String>,
}

/// The command line of `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The name of the template
    template: String,
    /// The number of the generation in `rosterd history`
    generation: u64,
    /// The reason, shown by status and explain
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

fn length(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be longer than 0".to_owned()),
        length if length > MAX_PAUSE => Err("it must not be longer than a year".to_owned()),
        length => Ok(length),
    }
}

/// Runs `explain`.
pub async fn explain(global: &Global, args: ExplainArgs) -> Result<Exit, Fatal> {
    print_message(send(global, RequestBody::Explain { name: args.name }).await?)
}

/// Runs `accept`.
pub async fn accept(global: &Global, args: AcceptArgs) -> Result<Exit, Fatal> {
    print_message(send(global, RequestBody::Accept { roster: args.roster }).await?)
}

/// Runs `pause`.
pub async fn pause(global: &Global, args: PauseArgs) -> Result<Exit, Fatal> {
    let reason = args.reason.filter(|reason| !reason.trim().is_empty());
    print_message(send(global, RequestBody::Pause { length: args.length, reason }).await?)
}

/// Runs `resume`.
pub async fn resume(global: &Global, args: ResumeArgs) -> Result<Exit, Fatal> {
    let body = args.template.map_or(RequestBody::Resume, |template| RequestBody::Unpin { template });
    print_message(send(global, body).await?)
}

/// Runs `rollback`.
pub async fn rollback(global: &Global, args: RollbackArgs) -> Result<Exit, Fatal> {
    let RollbackArgs { template, generation, reason } = args;
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    let body = RequestBody::Rollback { template: template.clone(), generation, reason };
    // It runs a check and a reload, which have their own limits.
    let mut answer = pin!(send_within(global, body, ROLLBACK_TIMEOUT));
    let answer = tokio::select! {
        answer = &mut answer => answer,
        () = sleep(SILENCE) => {
            say_what_is_waited_for(global, &template).await;
            answer.await
        }
    };
    print_message(answer?)
}

/// A rollback waits for its check and its reload, which `reload_interval` can delay.
async fn say_what_is_waited_for(global: &Global, template: &str) {
    let Ok(Answer::Status(status)) = send(global, RequestBody::Probe).await else { return };
    let reload = status.templates.into_iter().find(|it| it.name == template).and_then(|it| it.reload);
    let what = reload.map_or_else(|| "check and write".to_owned(), |reload| line(&reload.text));
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "rosterd: rollback of {} in progress: {what}", field(template));
}

/// Runs `drain`.
pub async fn drain(global: &Global, args: DrainArgs) -> Result<Exit, Fatal> {
    let DrainArgs { service, length, reason } = args;
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    print_message(send(global, RequestBody::Drain { service, length, reason }).await?)
}

/// Runs `undrain`.
pub async fn undrain(global: &Global, args: UndrainArgs) -> Result<Exit, Fatal> {
    print_message(send(global, RequestBody::Undrain { service: args.service }).await?)
}

/// Sends a request to the agent that the command line or the configuration selects.
pub async fn send(global: &Global, body: RequestBody) -> Result<Answer, Fatal> {
    send_within(global, body, TIMEOUT).await
}

async fn send_within(global: &Global, body: RequestBody, limit: Duration) -> Result<Answer, Fatal> {
    let socket = match global.paths().socket {
        Some(socket) => socket,
        None => configured(global)?,
    };
    control::send_request(&socket, body, limit).await.map_err(|error| {
        let hint =
            "is `rosterd run` running, and does this user have permission to open the socket? use -c FILE or --socket PATH to select another socket";
        Fatal::new(Exit::NoAgent, format!("{error} ({hint})"))
    })
}

/// The socket of the configuration. Other problems of the configuration are ignored. If the default file cannot be
/// used, for example because only root can read it, this is the default socket.
fn configured(global: &Global) -> Result<PathBuf, Fatal> {
    let named = global.config();
    let file = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG));
    let overrides = global.overrides();
    // Only `register` runs with an INI file.
    if zk_watcher::text(&file).is_some() {
        let mut register = Config::without_file(&overrides).map_err(|problems| wrong_config(&problems))?;
        register.keep_only_services(&overrides.paths);
        return Ok(register.status.socket);
    }
    match config::read(&file, &overrides) {
        Ok(loaded) => Ok(loaded.config.status.socket),
        Err(refused) => match refused.rest {
            Some(rest) => Ok(rest.status.socket),
            None if named.is_none() => Ok(StatusConfig::default().socket),
            None => Err(wrong_config(&refused.problems)),
        },
    }
}

/// Prints an answer that is text.
pub fn print_message(answer: Answer) -> Result<Exit, Fatal> {
    match answer {
        Answer::Message(message) if message.exit == Exit::Done => print(&message.text).map(|()| Exit::Done),
        Answer::Message(message) => Err(Fatal::new(message.exit, message.text.trim_end())),
        _ => Err(Fatal::new(Exit::NoAgent, "the agent sent an unexpected answer: its version may differ; restart it")),
    }
}

/// Prints to standard output. A closed pipe is not an error.
pub fn print(text: &str) -> Result<(), Fatal> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(why) if why.kind() != io::ErrorKind::BrokenPipe => {
            Err(Fatal::new(Exit::Failed, format!("cannot write to standard output: {why}")))
        }
        _ => Ok(()),
    }
}
