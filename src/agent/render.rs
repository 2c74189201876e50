//! `render` and `diff`: by the running agent, or with an engine in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::agent::driver::Driver;
use crate::agent::executor::Output;
use crate::agent::executor::output::Rendered;
use crate::agent::progress::Progress;
use crate::agent::{self, Inherited, Signals};
use crate::control::{self, Answer, PassReport, PassRequest, RequestBody};
use crate::decide::{Event, Input, Plan, RunMode};
use crate::error::{Exit, Fatal};
use crate::load::setup::Setup;
use crate::log::emit;
use crate::state::lock::StateLock;
use crate::watch::saved::SavedSource;

/// The time between attempts to reach the agent that holds the lock.
const POLL: Duration = Duration::from_millis(200);

/// How much longer than its own time limit a pass of the agent may take, because reloads have their own limits.
const BEYOND: Duration = Duration::from_hours(1);

/// The same for a dry run, which runs no commands.
const BEYOND_DRY_RUN: Duration = Duration::from_secs(15);

/// An agent that does not answer within this time counts as frozen.
const AWAKE: Duration = Duration::from_secs(5);

/// What a pass uses instead of the registries, and instead of the destinations. The agent is not asked then, and the state
/// directory is not changed.
#[derive(Debug, Clone, Default)]
pub struct Elsewhere {
    /// `--from`.
    pub saved: Option<Arc<SavedSource>>,
    /// `--output`.
    pub output: Option<Output>,
}

/// Runs one pass. If an agent is running, the agent does it, because two processes must not write the same file, and
/// the agent knows its holds. With `alone`, the agent cannot do it, because the command line differs from the file.
/// Returns the exit code and the diff.
///
/// # Errors
/// A template does not exist, replacements are paused, another process has locked the state directory and no agent
/// answers, or the state directory cannot be used.
pub async fn render(
    setup: Setup,
    request: PassRequest,
    alone: bool,
    elsewhere: Elsewhere,
    mut signals: Signals,
) -> Result<(Exit, String), Fatal> {
    let unknown = setup.unknown(&request.names);
    if !unknown.is_empty() {
        let known: Vec<&str> = setup.config.templates.iter().map(|template| &*template.name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let message = format!("no template is named {}; known templates: {known}", unknown.join(" or "));
        return Err(Fatal::new(Exit::Usage, message));
    }
    setup.warn();
    let mut lock = None;
    let asking = async {
        match (setup.stateful, request.dry_run, alone) {
            (false, ..) | (true, true, true) => Ok(None),
            // A dry run needs no lock. If the agent declines, this process runs it.
            (true, true, false) => ask(&setup, &request).await,
            (true, false, true) => {
                lock = Some(agent::lock(&setup).await?);
                Ok(None)
            }
            (true, false, false) => ask_or_lock(&setup, &request, &mut lock).await,
        }
    };
    let report = {
        let (mut asking, mut progress) = (pin!(asking), Progress::new(request.timeout));
        loop {
            tokio::select! {
                report = &mut asking => break report?,
                // If the agent has begun the pass, it finishes it.
                _ = signals.stop() => return Ok(interrupted()),
                () = progress.due() => {
                    progress.say(&format!("the agent that uses {}", setup.config.agent.state_dir.display()));
                }
            }
        }
    };
    let Some(report) = report else {
        return render_alone(setup, request, lock, elsewhere, signals).await;
    };
    report.log(&request, true);
    say_what_to_do(&report, &request);
    emit(Event::PassFinished { exit: report.exit.code(), by: "agent" });
    Ok((report.exit, report.diff))
}

/// Asks the agent for the pass, and waits for the lock at the same time.
async fn ask_or_lock(
    setup: &Setup,
    request: &PassRequest,
    lock: &mut Option<StateLock>,
) -> Result<Option<PassReport>, Fatal> {
    let mut locking = pin!(agent::lock(setup));
    let (socket, any) = (&setup.config.status.socket, RequestBody::Explain { name: String::new() });
    loop {
        let mut asking = pin!(ask(setup, request));
        tokio::select! {
            biased;
            // This resolves at once if no agent is running.
            locked = &mut locking => match locked {
                // The agent that holds the lock may be running the pass, which can take long. A frozen agent is not
                // waited for.
                Err(denied) if denied.exit == Exit::Locked && control::send_request(socket, any, AWAKE).await.is_ok() => {
                    return asking.await?.ok_or(denied).map(Some);
                }
                locked => {
                    *lock = Some(locked?);
                    return Ok(None);
                }
            },
            report = &mut asking => match report? {
                // This agent does not hold the lock.
                None => sleep(POLL).await,
                report => return Ok(report),
            },
        }
    }
}

/// Asks the agent for the pass; `None` if it does not run it.
async fn ask(setup: &Setup, request: &PassRequest) -> Result<Option<PassReport>, Fatal> {
    let state_dir = std::path::absolute(&setup.config.agent.state_dir).unwrap_or_default();
    let ask = RequestBody::Render { state_dir, fingerprint: setup.fingerprint(), request: request.clone() };
    let limit = request.timeout.saturating_add(if request.dry_run { BEYOND_DRY_RUN } else { BEYOND });
    let failed = match control::send_request(&setup.config.status.socket, ask, limit).await {
        Ok(Answer::Rendered(report)) => return Ok(Some(report)),
        Ok(Answer::Message(message)) => Fatal::new(message.exit, message.text),
        Ok(Answer::Declined(why)) if request.dry_run => {
            emit(Event::PassAlone { reason: why });
            return Ok(None);
        }
        Ok(Answer::Declined(_) | Answer::Status(_) | Answer::Views(_) | Answer::History(_) | Answer::Entry { .. }) => {
            return Ok(None);
        }
        Err(error) if error.is_unreachable => return Ok(None),
        // The connection was lost. The log of the agent says what it did.
        Err(error) => Fatal::new(Exit::Failed, error.to_string()),
    };
    if request.dry_run && failed.exit == Exit::Failed { Ok(None) } else { Err(failed) }
}

/// The result of a pass that a signal stopped before it began.
fn interrupted() -> (Exit, String) {
    emit(Event::PassInterrupted {});
    (Exit::Failed, String::new())
}

/// Runs the pass with an engine in this process.
async fn render_alone(
    setup: Setup,
    request: PassRequest,
    lock: Option<StateLock>,
    elsewhere: Elsewhere,
    mut signals: Signals,
) -> Result<(Exit, String), Fatal> {
    if lock.is_some()
        && let Some(why) = agent::paused(&setup.config.agent.state_dir)
    {
        return Err(Fatal::new(Exit::Held, why));
    }
    let inheriting = async { if lock.is_some() { Inherited::recover(&setup).await } else { Inherited::read(&setup) } };
    let mut inherited = tokio::select! {
        inherited = inheriting => inherited?,
        _ = signals.stop() => return Ok(interrupted()),
    };
    // Pending reloads of other templates are left to a pass that includes them.
    inherited.owed.retain(|owed| {
        let whole = owed.file_of().map(|(each, _)| &each.template);
        let is_named = |name: &String| **name == *owed.name || whole.is_some_and(|whole| **name == **whole);
        request.reloads() && (request.names.is_empty() || request.names.iter().any(is_named))
    });
    let (mut driver, plan) = begin(&setup, &request, inherited, elsewhere);
    let unfinished = tokio::select! {
        unfinished = complete(&mut driver, plan, Progress::new(request.timeout)) => Some(unfinished),
        _ = signals.stop() => None,
    };
    driver.end().await;
    if let Some(history) = &driver.history {
        history.close().await;
    }
    let mut report = driver.passes.own_report(&driver.engine, driver.now()).unwrap_or_default();
    report.log(&request, false);
    if unfinished != Some(0) {
        emit(if unfinished.is_some() { Event::WriteUnfinished {} } else { Event::PassInterrupted {} });
        report.exit = Exit::Failed;
    }
    say_what_to_do(&report, &request);
    emit(Event::PassFinished { exit: report.exit.code(), by: "command" });
    Ok((report.exit, report.diff))
}

/// Begins a pass with an engine in this process.
fn begin(setup: &Setup, request: &PassRequest, inherited: Inherited, elsewhere: Elsewhere) -> (Driver, Plan) {
    let plan = setup.plan(&request.names);
    let mut driver = Driver::new(setup, inherited, RunMode::Once { max_stale: request.max_stale }, request.reloads());
    if request.dry_run {
        driver.executor.write_nothing();
    }
    if let Some(output) = elsewhere.output {
        driver.executor.write_to(output);
    }
    if let Some(saved) = elsewhere.saved {
        driver.registries.show_saved(saved);
    }
    driver.registries.follow(&setup.config.registries, &plan, &BTreeSet::new());
    driver.passes.start(request.clone(), &plan, None);
    (driver, plan)
}

/// Renders with saved views into memory, for `test`. Returns the files by the name of their template, too.
///
/// # Errors
/// The system refuses a thread.
pub async fn render_in_memory(
    setup: &Setup,
    request: &PassRequest,
    saved: Arc<SavedSource>,
) -> Result<(PassReport, BTreeMap<Arc<str>, Vec<u8>>), Fatal> {
    let rendered = Rendered::default();
    let elsewhere = Elsewhere { saved: Some(saved), output: Some(Output::Memory(Arc::clone(&rendered))) };
    let (mut driver, plan) = begin(setup, request, Inherited::read(setup)?, elsewhere);
    complete(&mut driver, plan, Progress::silent()).await;
    driver.end().await;
    let report = driver.passes.own_report(&driver.engine, driver.now()).unwrap_or_default();
    let files = std::mem::take(&mut *rendered.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((report, files))
}

/// Says what a person does after a pass that failed.
fn say_what_to_do(report: &PassReport, request: &PassRequest) {
    if report.exit == Exit::Failed && !request.dry_run {
        emit(Event::PassFailed {});
    }
}

/// Runs until nothing more will be written. Then the pending reloads run, each with its own time limit, because the
/// next pass would find their files unchanged. Returns the number of unfinished replacements.
async fn complete(driver: &mut Driver, plan: Plan, mut progress: Progress) -> usize {
    // This process does not run the program, which reads its files at its next start.
    let step = |driver: &mut Driver, input| {
        if !driver.step(input).is_empty() {
            driver.step(Input::FilesApplied);
        }
    };
    step(driver, Input::Configured(plan));
    while !driver.passes.are_written() {
        let input = next(driver, &mut progress).await;
        step(driver, input);
    }
    step(driver, Input::Stopping);
    while driver.engine.is_reloading() {
        let input = next(driver, &mut progress).await;
        step(driver, input);
    }
    driver.executor.unfinished().await
}

/// The next input. Meanwhile, a person at a terminal is told what is waited for.
async fn next(driver: &mut Driver, progress: &mut Progress) -> Input {
    loop {
        tokio::select! {
            input = driver.next() => return input,
            () = progress.due() => progress.say(&driver.passes.waiting_for(&driver.engine, driver.now())),
        }
    }
}
