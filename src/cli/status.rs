//! `status`: prints the state of the agent as text or JSON, or checks it as a monitoring plugin does.

use std::time::SystemTime;

use clap::Args;

use super::Global;
use super::agent_commands::{print, send};
use crate::control::{Answer, RequestBody};
use crate::error::{Exit, Fatal};
use crate::log::plain;
use crate::report::conditions::Health;
use crate::report::screen::{Screen, plugin_line};
use crate::report::status::Status;
use crate::text::one_line;
use crate::text::time::Zone;

/// The exit code of a monitoring plugin that learned nothing.
const UNKNOWN: u8 = 3;

/// The command line of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print the state as JSON
    #[arg(long)]
    json: bool,
    /// Act as a monitoring plugin: print one line, and exit with 0 (OK), 1 (warning), 2 (critical) or
    /// 3 (unknown: no agent answers)
    #[arg(long, conflicts_with = "json")]
    check: bool,
}

/// Runs `status`, and returns the exit code.
pub async fn status(global: &Global, args: StatusArgs) -> Result<u8, Fatal> {
    let request = if args.check { RequestBody::Probe } else { RequestBody::Status };
    let answer = ask(global, request).await;
    if args.check {
        return check(answer);
    }
    let status = answer?;
    let screen = Screen { now: SystemTime::now(), zone: Zone::system() };
    print(&if args.json { status.json() } else { screen.text(&status) })?;
    Ok(Exit::Done.code())
}

async fn ask(global: &Global, request: RequestBody) -> Result<Status, Fatal> {
    match send(global, request).await? {
        Answer::Status(status) => Ok(*status),
        Answer::Message(message) => Err(Fatal::new(message.exit, message.text)),
        _ => Err(Fatal::new(Exit::NoAgent, "the agent sent an unexpected answer: its version may differ; restart it")),
    }
}

/// Prints one line. Monitoring shows standard output, and nothing else.
fn check(answer: Result<Status, Fatal>) -> Result<u8, Fatal> {
    match answer {
        Ok(status) => {
            print(&plugin_line(&status))?;
            Ok(match status.health.state {
                Health::Ok => 0,
                Health::Warning => 1,
                Health::Critical => 2,
            })
        }
        Err(fatal) => {
            print(&format!("ROSTERD UNKNOWN: {}\n", plain(&one_line(&fatal.message))))?;
            Ok(UNKNOWN)
        }
    }
}
