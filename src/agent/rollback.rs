//! `rollback` and `resume NAME`: requests that take several steps of the engine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot};

use super::Agent;
use crate::control::Answer;
use crate::decide::pending_reload::PendingReload;
use crate::decide::template::Template;
use crate::decide::{Failure, Input, Pin, Pins};
use crate::error::Exit;
use crate::history::entry::FOUND;
use crate::history::{NoContent, Trail};
use crate::report::words::field;
use crate::text::command::rosterd;
use crate::text::time::{Zone, past, to_come, utc};

/// Why there is no rollback.
type Refusal = (Exit, String);

/// What a rollback puts in place.
#[derive(Debug)]
struct Contents {
    /// Each template with its generation and the content.
    files: Vec<(Arc<str>, u64, Vec<u8>)>,
    /// When the requested generation was written.
    written: SystemTime,
}

/// A request for a rollback.
#[derive(Debug)]
struct Request {
    template: Arc<str>,
    /// The template, or all of its unit.
    names: Vec<Arc<str>>,
    generation: u64,
    reason: Option<String>,
    uid: u32,
    answer: oneshot::Sender<Answer>,
}

/// The contents that a rollback puts in place.
#[derive(Debug)]
pub struct Found {
    request: Request,
    contents: Result<Contents, Refusal>,
}

/// A rollback in progress.
#[derive(Debug)]
struct Job {
    request: Request,
    /// When the generation was written.
    written: SystemTime,
    /// All files are in place and pinned. Their reloads are not waited for before that.
    is_placed: bool,
}

/// The rollbacks in progress.
#[derive(Debug)]
pub struct Rollbacks {
    sender: mpsc::UnboundedSender<Found>,
    receiver: mpsc::UnboundedReceiver<Found>,
    jobs: Vec<Job>,
}

impl Default for Rollbacks {
    fn default() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver, jobs: Vec::new() }
    }
}

impl Rollbacks {
    /// The next contents that were looked up.
    pub async fn found(&mut self) -> Found {
        match self.receiver.recv().await {
            Some(found) => found,
            // This has a sender itself.
            None => std::future::pending().await,
        }
    }
}

impl Agent {
    /// Handles a request for a rollback: looks its contents up.
    pub fn request_rollback(
        &mut self,
        name: &str,
        generation: u64,
        reason: Option<String>,
        uid: u32,
        answer: oneshot::Sender<Answer>,
    ) {
        let (names, history) = match self.can_roll_back(name) {
            Ok(names) => (names, self.driver.history.clone()),
            Err((exit, why)) => {
                let _ = answer.send(Answer::failed(exit, why));
                return;
            }
        };
        let Some(history) = history else {
            let _ = answer.send(Answer::failed(Exit::Failed, "no history is recorded: see the log of the agent"));
            return;
        };
        let request = Request { template: Arc::from(name), names, generation, reason, uid, answer };
        let sender = self.rollbacks.sender.clone();
        // The history is read on its own thread.
        tokio::spawn(async move {
            let (template, names) = (Arc::clone(&request.template), request.names.clone());
            let found = history.ask(move |trail| contents(trail, &template, &names, generation)).await;
            let ended = || Err((Exit::Failed, "the history cannot be read: its thread ended".to_owned()));
            let contents = found.unwrap_or_else(ended);
            // The agent may have stopped.
            let _ = sender.send(Found { request, contents });
        });
    }

    /// The templates that are rolled back together with one, or why it cannot be rolled back.
    fn can_roll_back(&self, name: &str) -> Result<Vec<Arc<str>>, Refusal> {
        let engine = &self.driver.engine;
        let Some(template) = engine.templates().get(name) else { return Err(self.no_template(name)) };
        if template.plan().config.pattern().is_some() {
            let why = format!("{name} has a file for each key: name one of them, as in {name}[KEY]");
            return Err((Exit::Usage, why));
        }
        if let Some(until) = engine.paused() {
            let now = SystemTime::now();
            let until = to_come(now + until.since(self.driver.now()), now, &Zone::system());
            let why = format!("paused until {until}: `{}` ends the pause", rosterd(&["resume"]));
            return Err((Exit::Held, why));
        }
        let unit: Vec<_> = engine.unit_templates(template).collect();
        let has_request = |name: &Arc<str>| self.rollbacks.jobs.iter().any(|job| job.request.names.contains(name));
        if unit.iter().any(|it| it.is_rolling_back() || has_request(&it.plan().config.name)) {
            let why = format!("a rollback of {name} is in progress: retry when it has ended");
            return Err((Exit::Failed, why));
        }
        Ok(unit.iter().map(|it| Arc::clone(&it.plan().config.name)).collect())
    }

    fn no_template(&self, name: &str) -> Refusal {
        let known: Vec<&str> = self.driver.engine.templates().keys().map(|name| &**name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        (Exit::Usage, format!("no template is named {}; known templates: {known}", field(name)))
    }

    /// Begins a rollback whose contents were looked up.
    pub fn roll_back(&mut self, found: Found) {
        let Found { request, contents } = found;
        // The configuration, a pause or another request may have come first.
        let begun = self.can_roll_back(&request.template).and_then(|names| {
            let contents = contents?;
            if names != request.names {
                let why = "the configuration has changed meanwhile: run the command again";
                return Err((Exit::Failed, why.to_owned()));
            }
            Ok(contents)
        });
        let Contents { files, written } = match begun {
            Ok(begun) => begun,
            Err((exit, why)) => {
                let _ = request.answer.send(Answer::failed(exit, why));
                return;
            }
        };
        let since = self.driver.now();
        let pin = |(name, generation, content): (Arc<str>, u64, Vec<u8>)| {
            let (uid, reason) = (request.uid, request.reason.clone());
            (name, Arc::new(Pin { generation, content: content.into(), since, uid, reason }))
        };
        let pins: Pins = files.into_iter().map(pin).collect();
        // A person asks for these contents, even if a reload failed with them before.
        let templates = self.driver.engine.templates();
        let dests = pins.keys().filter_map(|name| Some(templates.get(name)?.plan().config.dest.clone()));
        self.driver.executor.unblock(dests.collect());
        self.rollbacks.jobs.push(Job { request, written, is_placed: false });
        self.step(Input::RollBack(pins));
    }

    /// Answers the rollbacks that have ended.
    pub fn advance_rollbacks(&mut self) {
        for mut job in std::mem::take(&mut self.rollbacks.jobs) {
            match self.rollback_answer(&mut job) {
                None => self.rollbacks.jobs.push(job),
                Some(answer) => self.answer_saved(job.request.answer, answer),
            }
        }
    }

    /// The answer to a rollback; `None` while it is in progress.
    fn rollback_answer(&self, job: &mut Job) -> Option<Answer> {
        let Job { request: Request { template: name, names, generation, .. }, written, is_placed } = job;
        let engine = &self.driver.engine;
        let failed = |why: String| Some(Answer::failed(Exit::Failed, why));
        let unchanged = if names.len() > 1 { "no file of its unit was changed" } else { "its file was not changed" };
        let Some(template) = engine.templates().get(name) else {
            return failed(format!("{name} is not in the configuration any more: {unchanged}"));
        };
        if !*is_placed {
            match template.rollback()? {
                Ok(()) => *is_placed = true,
                Err(Failure { stage, message, .. }) => {
                    return failed(format!("{name} stays as it was, {unchanged}: {}: {message}", stage.describe()));
                }
            }
        }
        let mut reloads = engine.pending_reloads().iter();
        let own = |pending: &PendingReload| pending.is_pending() && names.iter().any(|name| pending.includes(name));
        if engine.pending_reloads().values().any(|pending| own(pending) && pending.will_run())
            || names.iter().any(|name| !engine.restoring(name).is_empty())
        {
            return None;
        }
        if template.pin().is_none_or(|pin| pin.generation != *generation) {
            let failure = template.rollback().and_then(|result| result.as_ref().err()).or(template.failure());
            let why = failure.map(|failure| format!(": {}", failure.message)).unwrap_or_default();
            let pinned = template.pin().map_or("nothing is pinned".to_owned(), |pin| {
                format!("it is pinned to generation {} as before", pin.generation)
            });
            return failed(format!("the reload of {name} failed; the previous file was restored, {pinned}{why}"));
        }
        let others: Vec<&str> = names.iter().filter(|other| *other != name).map(|other| &**other).collect();
        let with = if others.is_empty() { String::new() } else { format!(", with {} of its unit", others.join(", ")) };
        let end = rosterd(&["resume", name]);
        let at = past(*written, SystemTime::now(), &Zone::system());
        let text = format!("{name}: pinned to generation {generation} of {at}{with}; `{end}` ends that\n");
        if let Some((reload, pending)) = reloads.find(|(_, pending)| own(pending)) {
            let why = pending.report().and_then(|it| it.last_error).unwrap_or_default();
            return failed(format!("{text}but its reload failed and will be retried: `{reload}`: {why}"));
        }
        Some(Answer::done(text))
    }

    /// Sends an answer once the pins are on disk. Before that, a restart would undo their change.
    fn answer_saved(&self, answer: oneshot::Sender<Answer>, response: Answer) {
        let pin_file = self.driver.pin_file.clone();
        self.driver.executor.in_order(move || {
            let failure = pin_file.and_then(|pin_file| pin_file.failure());
            // The client may have disconnected.
            let _ = answer.send(match (response, failure) {
                (Answer::Message(message), Some(why)) => {
                    let text = format!("{}but a restart undoes that: {why}", message.text);
                    Answer::failed(Exit::Failed, text)
                }
                (response, _) => response,
            });
        });
    }

    /// Ends the pin of a template and its unit.
    pub fn resume_template(&mut self, name: &str, uid: u32, answer: oneshot::Sender<Answer>) {
        let engine = &self.driver.engine;
        let template = engine.templates().get(name);
        let unit = template.into_iter().flat_map(|template| engine.unit_templates(template));
        let mut names: BTreeSet<Arc<str>> = unit.map(|it| Arc::clone(&it.plan().config.name)).collect();
        // The template of a pin can be missing from the configuration.
        names.extend(engine.pins().get_key_value(name).map(|(name, _)| Arc::clone(name)));
        if names.is_empty() {
            let (exit, why) = self.no_template(name);
            let _ = answer.send(Answer::failed(exit, why));
            return;
        }
        if names.iter().filter_map(|name| engine.templates().get(name)).any(Template::is_rolling_back) {
            let why = format!("a rollback of {name} is in progress: retry when it has ended");
            let _ = answer.send(Answer::failed(Exit::Failed, why));
            return;
        }
        names.retain(|name| engine.pins().contains_key(name));
        if names.is_empty() {
            let _ = answer.send(Answer::done(format!("{name} is not pinned: nothing to resume\n")));
            return;
        }
        let all: Vec<&str> = names.iter().map(|name| &**name).collect();
        let text = format!("no longer pinned, and rendered again: {}\n", all.join(", "));
        self.step(Input::Unpin { templates: names, uid });
        self.answer_saved(answer, Answer::done(text));
    }
}

/// The contents that a rollback of these templates to a generation of one of them puts in place.
fn contents(trail: &Trail, template: &Arc<str>, names: &[Arc<str>], generation: u64) -> Result<Contents, Refusal> {
    let refusal = |number: u64, why: NoContent| (why.exit(), why.describe(number));
    let entry = match trail.content(generation) {
        Ok((entry, _)) => Arc::clone(entry),
        Err(why) => return Err(refusal(generation, why)),
    };
    if entry.templates.first().is_none_or(|name| *name != **template) {
        let of = entry.templates.join(", ");
        return Err((Exit::Usage, format!("entry {generation} is a generation of {}, not of {template}", field(&of))));
    }
    let mut files = Vec::new();
    for name in names {
        let number = if name == template { Some(generation) } else { trail.together_with(&entry, name) };
        let Some(number) = number else {
            let missing = if entry.event == FOUND {
                format!(
                    "nothing that was in the file of {name} before rosterd wrote it: remove `unit` from {template} in the \
                     configuration, send HUP, and retry"
                )
            } else {
                format!("no generation of {name} at {}", utc(entry.at()))
            };
            let why = format!("{template} is rolled back with its unit, and the history has {missing}");
            return Err((Exit::Failed, why));
        };
        let (_, bytes) = trail.content(number).map_err(|why| {
            let (exit, text) = refusal(number, why);
            (
                exit,
                if name == template {
                    text
                } else {
                    format!("{template} is rolled back with {name} of its unit: {text}")
                },
            )
        })?;
        files.push((Arc::clone(name), number, bytes));
    }
    Ok(Contents { files, written: entry.at() })
}
