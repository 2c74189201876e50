//! The requests that the agent answers on its control socket.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::{Agent, key_origin};
use crate::control::{Answer, PassRequest, PendingRequest, RequestBody, may_command};
use crate::decide::report::Report;
use crate::decide::{Acceptance, Event, HeldView, Input};
use crate::error::Exit;
use crate::load::loader::Load;
use crate::log::emit;
use crate::report::context::Context;
use crate::report::explain::{explain, names};
use crate::report::screen::summary;
use crate::report::snapshot::Snapshot;
use crate::report::status::Status;
use crate::report::words::field;
use crate::state::drains::Drain;
use crate::state::pause::{DEFAULT_DURATION, Pause};
use crate::text::command::rosterd;
use crate::text::time::{Zone, to_come, utc};

/// The state of requests, besides the engine.
#[derive(Debug)]
pub struct RequestState {
    /// The locked state directory. A later configuration does not change it.
    state_dir: PathBuf,
    /// The held view of each roster, as last shown to a user who may accept it.
    shown: BTreeMap<Arc<str>, HeldView>,
    /// The current pause.
    pause: Option<Pause>,
    /// Passes that wait for a load of the configuration, each with its fingerprint.
    before_load: Vec<(u64, PassRequest, oneshot::Sender<Answer>)>,
}

impl RequestState {
    /// Creates the state before the first request.
    pub fn new(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned(), shown: BTreeMap::new(), pause: None, before_load: Vec::new() }
    }

    /// Drops all waiting requests. Their clients are told that the agent is stopping.
    pub fn close(&mut self) {
        self.before_load.clear();
    }
}

impl Agent {
    /// Restores the pause of the previous run.
    pub fn restore_pause(&mut self) {
        let now = SystemTime::now();
        let unread = self.driver.unread_pins.take().map(|why| Pause::new(now, DEFAULT_DURATION, Some(why), 0));
        let saved = Pause::load(&self.requests.state_dir, now);
        let Some(pause) = saved.into_iter().chain(unread).max_by_key(|pause| pause.remaining(now)) else {
            return;
        };
        emit(paused_by(&pause));
        let until = self.driver.now() + pause.remaining(now).unwrap_or_default();
        self.requests.pause = Some(pause);
        self.step(Input::Paused(until));
    }

    /// Clears an expired pause.
    pub fn clear_expired_pause(&mut self) {
        if self.requests.pause.is_some() && self.driver.engine.paused().is_none() {
            self.requests.pause = None;
            let state_dir = self.requests.state_dir.clone();
            self.driver.executor.in_order(move || {
                if let Err(why) = Pause::delete(&state_dir) {
                    let (file, effect) = (Some(Pause::file(&state_dir)), "the expired pause remains on disk");
                    emit(Event::StateWriteFailed { file, reason: format!("cannot remove it: {why}"), effect });
                }
            });
        }
    }

    /// Tells the service manager that the start or a reload is complete.
    pub fn notify_ready(&mut self) {
        self.service_manager.ready();
        self.notify_alive();
    }

    /// Tells the service manager that the event loop makes progress, and how the agent is.
    pub fn notify_alive(&mut self) {
        if !self.service_manager.is_present() {
            return;
        }
        let Snapshot { report, context, .. } = self.snapshot();
        let status = Status::new(&report, &context);
        self.service_manager.alive(&summary(&status));
    }

    /// Handles a request.
    pub fn answer(&mut self, request: PendingRequest) {
        let PendingRequest { body, uid, answer } = request;
        let response = match body {
            RequestBody::Status | RequestBody::Probe => {
                let Snapshot { report, context, .. } = self.snapshot();
                let status = Status::new(&report, &context);
                if may_command(uid) && body == RequestBody::Status {
                    self.requests.shown =
                        report.rosters.into_iter().map(|(name, it)| (name, it.held_members)).collect();
                }
                Answer::Status(Box::new(status))
            }
            RequestBody::Explain { name } => return self.explain(name, uid, answer),
            RequestBody::Accept { roster } => self.accept(&roster, uid),
            RequestBody::Pause { length, reason } => return self.pause(length, reason, uid, answer),
            RequestBody::Resume => return self.resume(uid, answer),
            RequestBody::Unpin { template } => return self.resume_template(&template, uid, answer),
            RequestBody::Rollback { template, generation, reason } => {
                return self.request_rollback(&template, generation, reason, uid, answer);
            }
            RequestBody::History { name, since } => return self.history(name, since, answer),
            RequestBody::HistoryEntry { number } => return self.history_entry(number, answer),
            RequestBody::HistoryDiff { from, to } => return self.history_diff(from, to, answer),
            RequestBody::Drain { service, length, reason } => self.drain(&service, length, reason, uid),
            RequestBody::Undrain { service } => self.undrain(&service, uid),
            RequestBody::Get { paths } => self.views(&paths),
            RequestBody::Render { state_dir, fingerprint, request } => {
                return self.render(&state_dir, fingerprint, request, answer);
            }
        };
        // The client may have disconnected.
        let _ = answer.send(response);
    }

    /// The state of everything, for `status`, `explain` and HTTP.
    pub fn snapshot(&self) -> Snapshot {
        let context = Context {
            wall: SystemTime::now(),
            zone: Zone::system(),
            host: self.setup.host.name.clone(),
            pause: self.requests.pause.clone(),
            program: self.supervisor.report(),
            refused: self.refusals.all(),
            services: self.registrar.report(),
            origin: None,
        };
        let (report, sessions) = (self.driver.engine.report(self.driver.now()), self.driver.registries.sessions());
        Snapshot { report, context, sessions }
    }

    fn explain(&mut self, name: String, uid: u32, answer: oneshot::Sender<Answer>) {
        let Snapshot { report, mut context, .. } = self.snapshot();
        // The explanation of a template does not show what `accept` would change.
        if !report.templates.contains_key(&*name)
            && may_command(uid)
            && let Some((name, roster)) = report.rosters.get_key_value(&*name)
        {
            self.requests.shown.insert(Arc::clone(name), roster.held_members.clone());
        }
        let origin = key_origin::origin(&self.setup.config, &report, &name);
        let Some(origin) = origin else {
            // The client may have disconnected.
            let _ = answer.send(explained(&report, &name, &context));
            return;
        };
        tokio::spawn(async move {
            context.origin = origin.await;
            let _ = answer.send(explained(&report, &name, &context));
        });
    }

    fn accept(&mut self, name: &str, uid: u32) -> Answer {
        let Some((name, roster)) = self.driver.engine.rosters().get_key_value(name) else {
            let known: Vec<&str> = self.driver.engine.rosters().keys().map(|name| &**name).collect();
            return Answer::failed(
                Exit::Usage,
                format!("no roster is named {}; known rosters: {}", field(name), known.join(", ")),
            );
        };
        let name = Arc::clone(name);
        match roster.acceptance(self.requests.shown.get(&name)) {
            Acceptance::NotHeld => return Answer::done(format!("{name} is not held: nothing to accept\n")),
            Acceptance::Refused(why) => {
                let review = format!("review it with `{}`", rosterd(&["explain", &name]));
                return Answer::failed(Exit::Held, format!("{name} is still held: {}; {review}", field(&why)));
            }
            Acceptance::AsShown => {}
        }
        emit(Event::HoldAccepted { roster: Arc::clone(&name), uid });
        let shown = self.requests.shown.remove(&name).unwrap_or_default();
        self.step(Input::Accept(Arc::clone(&name), shown));
        let report = self.driver.engine.report(self.driver.now());
        let held = report.rosters.get(&name).filter(|roster| roster.held).and_then(|roster| roster.holds.first());
        match held.map(|it| it.hold.reason.describe(&it.path)) {
            Some(why) => Answer::failed(Exit::Held, format!("{name} is still partly held: {}", field(&why))),
            None => Answer::done(format!("{name}: accepted; the held view is in use now\n")),
        }
    }

    fn drain(&mut self, service: &str, length: Option<Duration>, reason: Option<String>, uid: u32) -> Answer {
        let now = SystemTime::now();
        let drain = Drain::new(now, length, reason, uid);
        let left = drain.left(now);
        if !self.registrar.drain(service, drain) {
            return self.no_service(service);
        }
        let end = left.map(|left| to_come(now + left, now, &Zone::system()));
        let end = end
            .map_or_else(|| format!("until `{}` is run", rosterd(&["undrain", service])), |end| format!("until {end}"));
        Answer::done(format!("{service}: drained {end}\n"))
    }

    fn undrain(&mut self, service: &str, uid: u32) -> Answer {
        if !self.registrar.names().any(|name| name == service) {
            return self.no_service(service);
        }
        let was = self.registrar.undrain(service, uid);
        let text = if was {
            ": no longer drained; it will be registered when it is up"
        } else {
            " is not drained: nothing to do"
        };
        Answer::done(format!("{service}{text}\n"))
    }

    fn no_service(&self, name: &str) -> Answer {
        let known: Vec<&str> = self.registrar.names().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Answer::failed(Exit::Usage, format!("no service is named {}; known services: {known}", field(name)))
    }

    fn pause(&mut self, length: Duration, reason: Option<String>, uid: u32, answer: oneshot::Sender<Answer>) {
        let now = SystemTime::now();
        let pause = Pause::new(now, length, reason, uid);
        let until = to_come(pause.until, now, &Zone::system());
        emit(paused_by(&pause));
        let end = self.driver.now() + pause.remaining(now).unwrap_or_default();
        self.requests.pause = Some(pause.clone());
        self.step(Input::Paused(end));
        let report = self.driver.engine.report(self.driver.now());
        let flying = report.templates.iter().filter(|(_, template)| template.in_flight);
        let flying: Vec<&str> = flying.map(|(name, _)| &**name).collect();
        let mut text = format!(
            "paused until {until}: no file will be replaced until then; `{}` ends the pause\n",
            rosterd(&["resume"])
        );
        if !flying.is_empty() {
            text = format!("{text}replacements in progress will be finished: {}\n", flying.join(", "));
        }
        let state_dir = self.requests.state_dir.clone();
        // The answer waits until the pause is on disk. Before that, a restart would end the pause.
        self.driver.executor.in_order(move || {
            let _ = answer.send(match pause.save(&state_dir) {
                Ok(()) => Answer::done(text),
                Err(why) => {
                    let file = Pause::file(&state_dir);
                    let text = format!("{text}but a restart ends the pause: cannot write {}: {why}", file.display());
                    Answer::failed(Exit::Failed, text)
                }
            });
        });
    }

    fn resume(&mut self, uid: u32, answer: oneshot::Sender<Answer>) {
        let was = self.requests.pause.take().is_some();
        let text = if was { "file replacement resumed\n" } else { "not paused: nothing to resume\n" };
        if was {
            emit(Event::Resumed { uid });
        }
        self.step(Input::Resumed);
        let state_dir = self.requests.state_dir.clone();
        self.driver.executor.in_order(move || {
            let _ = answer.send(match Pause::delete(&state_dir) {
                Ok(()) => Answer::done(text),
                Err(why) => {
                    let file = Pause::file(&state_dir);
                    let text = format!("{text}but a restart pauses again: cannot remove {}: {why}", file.display());
                    Answer::failed(Exit::Failed, text)
                }
            });
        });
    }

    fn render(&mut self, state_dir: &Path, fingerprint: u64, request: PassRequest, answer: oneshot::Sender<Answer>) {
        if !same_directory(state_dir, &self.requests.state_dir) {
            let _ = answer.send(Answer::Declined("the running agent uses a different state directory".to_owned()));
        } else if fingerprint != self.setup.fingerprint() && request.dry_run {
            let why = "the running agent uses a different configuration or different templates";
            let _ = answer.send(Answer::Declined(why.to_owned()));
        } else {
            if fingerprint != self.setup.fingerprint() {
                emit(Event::ConfigReread {});
                self.loader.request(Load::Everything, &self.setup);
            }
            self.requests.before_load.push((fingerprint, request, answer));
            self.start_passes();
        }
    }

    /// Begins the passes that waited for a load, after the last load.
    pub fn start_passes(&mut self) {
        for (fingerprint, request, answer) in std::mem::take(&mut self.requests.before_load) {
            if fingerprint == self.setup.fingerprint() {
                self.start_pass(request, answer);
            } else if self.loader.is_loading() {
                self.requests.before_load.push((fingerprint, request, answer));
            } else {
                let why = "the running agent could not load this configuration (see its log), or uses another file";
                let _ = answer.send(Answer::failed(Exit::Failed, why));
            }
        }
    }

    fn start_pass(&mut self, request: PassRequest, answer: oneshot::Sender<Answer>) {
        if let Some(until) = self.driver.engine.paused().filter(|_| !request.dry_run) {
            let now = SystemTime::now();
            let until = to_come(now + until.since(self.driver.now()), now, &Zone::system());
            let why = format!("paused until {until}: `{}` ends the pause", rosterd(&["resume"]));
            let _ = answer.send(Answer::failed(Exit::Held, why));
        } else if self.driver.passes.is_full() {
            let _ = answer.send(Answer::failed(Exit::Failed, "too many renders are in progress: retry later"));
        } else {
            let plan = self.setup.plan(&request.names);
            self.driver.passes.start(request, &plan, Some(answer));
            self.step(Input::Tick);
        }
    }
}

fn explained(report: &Report, name: &str, context: &Context) -> Answer {
    let Some(text) = explain(report, name, context) else {
        let known: Vec<&str> = names(report, context).into_iter().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let text = format!("no template, roster, key or service is named {}; known names: {known}", field(name));
        return Answer::failed(Exit::Usage, text);
    };
    Answer::done(text)
}

fn paused_by(pause: &Pause) -> Event {
    let (until, reason) = (utc(pause.until), pause.reason.as_deref().map(field));
    Event::Paused { until, uid: pause.uid, reason }
}

fn same_directory(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

/// Describes the pause of a state directory without a running agent.
pub fn paused(state_dir: &Path) -> Option<String> {
    let pause = Pause::load(state_dir, SystemTime::now())?;
    let reason = pause.reason.as_deref().map(|reason| format!(", {}", field(reason))).unwrap_or_default();
    let file = Pause::file(state_dir);
    Some(format!(
        "paused until {} by uid {}{reason}: run `{}`, or remove {} if no agent is running",
        to_come(pause.until, SystemTime::now(), &Zone::system()),
        pause.uid,
        rosterd(&["resume"]),
        file.display()
    ))
}
