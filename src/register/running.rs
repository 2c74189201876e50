//! A service with its check, its data and the node that it wants.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::mpsc;

use crate::config::{DataCommand, ServiceConfig};
use crate::decide::Moment;
use crate::decide::event::{Event, microseconds};
use crate::decide::registration::Want;
use crate::decide::service::Service;
use crate::log::emit;
use crate::model::registration::{NodeId, NodeSpec};
use crate::model::service_data::ServiceData;
use crate::text::time::local_datetime;

use super::checks::Checks;
use super::event::RegistrarEvent;
use super::node::{Origin, spec};

/// A service with what it does beside its checks.
pub struct Running {
    /// Its health.
    pub service: Service,
    /// The node to register while it is up.
    pub node: Arc<NodeSpec>,
    /// The output of `data_cmd`.
    extra: ServiceData,
    /// Why `data_cmd` failed last.
    pub data_error: Option<String>,
    /// When `data_cmd` runs next; `None` while it runs, or without one.
    pub next_data: Option<Moment>,
    /// Until `data_cmd` has ended once, the node lacks its data.
    awaits_data: bool,
    /// When and by which process the data was made.
    origin: Origin,
}

impl Running {
    /// A service that is checked at once.
    pub fn new(config: Arc<ServiceConfig>, now: Moment) -> Self {
        let next_data = config.data_cmd.is_some().then_some(now);
        let (extra, origin) = (ServiceData::default(), origin());
        Self {
            node: Arc::new(spec(&config, &extra, &origin)),
            awaits_data: next_data.is_some(),
            service: Service::new(config, now),
            extra,
            data_error: None,
            next_data,
            origin,
        }
    }

    /// Changes the configuration.
    pub fn configure(&mut self, config: &Arc<ServiceConfig>, now: Moment) {
        let old = self.service.config();
        if (&old.data, &old.data_cmd) != (&config.data, &config.data_cmd) {
            self.origin = origin();
            self.next_data = config.data_cmd.is_some().then_some(now);
            if config.data_cmd.is_none() {
                (self.extra, self.data_error) = (ServiceData::default(), None);
            }
        }
        self.service.configure(Arc::clone(config), now);
        self.make_node();
    }

    fn make_node(&mut self) {
        self.node = Arc::new(spec(self.service.config(), &self.extra, &self.origin));
    }

    /// Starts the check and the `data_cmd` that are due.
    pub fn start(
        &mut self,
        now: Moment,
        name: &Arc<str>,
        checks: &Checks,
        sender: &mpsc::UnboundedSender<RegistrarEvent>,
    ) {
        if let Some(number) = self.service.start_check(now) {
            let (config, checks) = (Arc::clone(self.service.config()), checks.clone());
            let (name, sender) = (Arc::clone(name), sender.clone());
            tokio::spawn(async move {
                let started = Instant::now();
                let result = checks.run(&config.check, config.timeout).await;
                let outcome = if result.is_ok() { "passed" } else { "failed" };
                let (service, took_us) = (Arc::clone(&name), microseconds(started.elapsed()));
                emit(Event::ServiceChecked { service, outcome, took_us });
                // The registrar may be gone.
                let _ = sender.send(RegistrarEvent::Checked(name, number, result));
            });
        }
        let command = self.service.config().data_cmd.clone();
        if let Some(command) = command.filter(|_| self.next_data.take_if(|next| *next <= now).is_some()) {
            let (name, sender, checks) = (Arc::clone(name), sender.clone(), checks.clone());
            tokio::spawn(async move {
                let result = checks.data(&command.cmd, command.timeout).await;
                let _ = sender.send(RegistrarEvent::Data(name, command, result));
            });
        }
    }

    /// `data_cmd` has ended.
    pub fn data(&mut self, now: Moment, command: &DataCommand, result: Result<String, String>) {
        if self.service.config().data_cmd.as_ref() != Some(command) {
            return;
        }
        self.next_data = Some(now + command.interval);
        self.awaits_data = false;
        let parsed = result
            .and_then(|text| ServiceData::parse(text.trim(), true).map_err(|what| format!("its output is {what}")));
        match parsed {
            Ok(extra) => {
                if self.extra != extra {
                    (self.extra, self.origin) = (extra, origin());
                    self.make_node();
                }
                self.data_error = None;
            }
            Err(reason) => {
                if self.data_error.as_ref() != Some(&reason) {
                    let service = Arc::clone(&self.service.config().name);
                    emit(Event::ServiceDataFailed { service, reason: reason.clone() });
                }
                self.data_error = Some(reason);
            }
        }
    }

    /// What is wanted of its node; `None` to delete it.
    pub fn want(&self, is_drained: bool) -> Option<(NodeId, Want)> {
        let want = match self.service.is_up() {
            Some(false) => return None,
            _ if is_drained => return None,
            Some(true) if !self.awaits_data => Want::Registered(Arc::clone(&self.node)),
            Some(true) | None => Want::Kept,
        };
        Some((self.node.id.clone(), want))
    }
}

fn origin() -> Origin {
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let created_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    Origin { pid: std::process::id(), created: local_datetime(now), created_ms }
}
