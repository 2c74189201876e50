//! A pass beside a running agent, which makes it with its own views: two programs must not write one file, and the
//! agent knows what it holds.

use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Pass;
use crate::agent::executor::Write;
use crate::control::{Answer, Ask, FileReport, RenderAsk, RenderReport};
use crate::decide::Event;
use crate::error::{Exit, Fatal};
use crate::load::setup::Setup;
use crate::log::emit;
use crate::state::lock::StateLock;
use crate::{agent, control};

/// How often the control socket of an agent that has the lock is tried.
const POLL: Duration = Duration::from_millis(200);

/// How long beyond its own time limit a pass may take: its reloads have limits of their own.
const BEYOND: Duration = Duration::from_hours(1);

/// The same for a dry run, which runs no commands.
const BEYOND_LOOKING: Duration = Duration::from_secs(15);

/// How long an agent may take to answer anything before it counts as frozen.
const AWAKE: Duration = Duration::from_secs(5);

/// Who makes a pass.
pub enum Maker {
    /// This process, with the lock where it needs one.
    Itself(Option<StateLock>),
    /// The agent has made it.
    Agent(Exit),
}

/// Finds out who makes a pass, and lets a running agent make it.
///
/// # Errors
/// The lock is another's and no agent answers, or the state directory cannot be used, or it is paused.
pub async fn maker(setup: &Setup, pass: &Pass) -> Result<Maker, Fatal> {
    if !setup.stateful {
        return Ok(Maker::Itself(None));
    }
    if pass.manner.write == Write::DryRun {
        // It needs no lock, so a look of its own is the next best.
        let asked = if pass.alone { None } else { ask(setup, pass).await };
        return match asked {
            Some(Answer::Rendered(report)) => show(&report).await.map(Maker::Agent),
            Some(Answer::Elsewhere(why)) => {
                emit(Event::PassAlone { reason: why });
                Ok(Maker::Itself(None))
            }
            Some(Answer::Told(told)) if told.exit != Exit::Failed => Err(Fatal::new(told.exit, told.text)),
            Some(Answer::Told(_) | Answer::Status(_)) | None => Ok(Maker::Itself(None)),
        };
    }
    if pass.alone {
        return itself(setup, agent::lock(setup).await?);
    }
    let mut locking = pin!(agent::lock(setup));
    loop {
        let mut asking = pin!(ask(setup, pass));
        let (answer, denied) = tokio::select! {
            biased;
            // At once where no agent runs.
            lock = &mut locking => match lock {
                Ok(lock) => return itself(setup, lock),
                // Who has it may be the one that makes the pass, and that takes as long as its checks do.
                Err(denied) if denied.exit == Exit::Locked && is_awake(setup).await => (asking.await, Some(denied)),
                Err(denied) => return Err(denied),
            },
            answer = &mut asking => (answer, None),
        };
        match (answer, denied) {
            (Some(Answer::Rendered(report)), _) => return show(&report).await.map(Maker::Agent),
            (Some(Answer::Told(told)), _) => return Err(Fatal::new(told.exit, told.text)),
            // Not the one that has the lock.
            (Some(Answer::Elsewhere(_) | Answer::Status(_)) | None, Some(denied)) => return Err(denied),
            (Some(Answer::Elsewhere(_) | Answer::Status(_)) | None, None) => tokio::select! {
                biased;
                lock = &mut locking => return itself(setup, lock?),
                () = sleep(POLL) => {}
            },
        }
    }
}

/// The pass is this process's own, unless the agent that does not run now is paused.
fn itself(setup: &Setup, lock: StateLock) -> Result<Maker, Fatal> {
    match agent::paused(&setup.config.agent.state_dir) {
        Some(why) => Err(Fatal::new(Exit::Held, why)),
        None => Ok(Maker::Itself(Some(lock))),
    }
}

/// Whether somebody answers on the control socket at all: who is frozen is not waited for.
async fn is_awake(setup: &Setup) -> bool {
    let nothing = Ask::Explain { name: String::new() };
    control::ask(&setup.config.status.socket, nothing, AWAKE).await.is_ok()
}

async fn ask(setup: &Setup, pass: &Pass) -> Option<Answer> {
    let ask = RenderAsk {
        state_dir: std::path::absolute(&setup.config.agent.state_dir).unwrap_or_else(|_| PathBuf::new()),
        fingerprint: setup.fingerprint(),
        only: pass.only.clone(),
        timeout: pass.timeout,
        max_stale: pass.max_stale,
        dry_run: pass.manner.write == Write::DryRun,
        diff: pass.manner.diff,
        reload: pass.manner.reload,
        held_ok: pass.held_ok,
        detailed_exitcode: pass.detailed_exitcode,
    };
    let beyond = if ask.dry_run { BEYOND_LOOKING } else { BEYOND };
    let limit = pass.timeout.saturating_add(beyond);
    match control::ask(&setup.config.status.socket, Ask::Render(ask), limit).await {
        Ok(answer) => Some(answer),
        Err(unanswered) if unanswered.absent => None,
        // It was there, and went: what it did is in its log.
        Err(unanswered) => Some(Answer::not(Exit::Failed, unanswered.to_string())),
    }
}

/// Says how the agent's pass ended, in the words of one's own.
async fn show(report: &RenderReport) -> Result<Exit, Fatal> {
    for FileReport { template, dest, what, why } in &report.files {
        let (template, dest) = (Arc::from(template.as_str()), dest.clone());
        emit(match (what.as_str(), why) {
            (_, Some(why)) => Event::AgentPassFailed { template, reason: why.clone() },
            ("wrote", None) => Event::FileWritten { template, dest, digest: None, took_ms: None },
            ("removed", None) => Event::FileRemoved { template, dest },
            ("would remove", None) => Event::FileWouldBeRemoved { template, dest },
            ("would write", None) => Event::FileWouldChange { template, dest },
            (_, None) => Event::FileUnchanged { template, dest },
        });
    }
    for reason in &report.remarks {
        emit(Event::AgentRemark { reason: reason.clone() });
    }
    let diff = report.diff.clone();
    let printed = tokio::task::spawn_blocking(move || std::io::stdout().lock().write_all(diff.as_bytes()));
    match printed.await.unwrap_or_else(|why| Err(std::io::Error::other(why))) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => {
            return Err(Fatal::new(Exit::Failed, format!("print the difference: {why}")));
        }
        _ => {}
    }
    emit(Event::PassFinished { exit: report.exit.code(), by: "agent" });
    Ok(report.exit)
}
