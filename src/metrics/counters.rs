//! What is counted from events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;

use super::tally::Tally;
use crate::config::Config;
use crate::decide::{Event, Severity};

/// The counters.
#[derive(Debug, Clone)]
pub struct Counters {
    pub rosters: BTreeMap<Arc<str>, RosterCounters>,
    pub templates: BTreeMap<Arc<str>, TemplateCounters>,
    pub services: BTreeMap<Arc<str>, ServiceCounters>,
    /// Loads of the configuration, and of edited templates.
    pub loads: [Loads; 2],
    /// Failed writes by the name of the system's error: `ENOSPC`.
    pub write_errors: BTreeMap<String, u64>,
    /// Events that are warnings or errors, by name.
    pub events: BTreeMap<&'static str, (Severity, u64)>,
}

/// The counters of a roster.
#[derive(Debug, Clone, Default)]
pub struct RosterCounters {
    pub added: u64,
    pub removed: u64,
    pub holds: u64,
}

/// The counters of a template, with all its files.
#[derive(Debug, Clone)]
pub struct TemplateCounters {
    pub renders: Tally,
    pub checks: Tally,
    pub writes: Tally,
    pub reloads: Tally,
    /// It has a `check_cmd`.
    pub has_check: bool,
    /// It has a reload.
    pub has_reload: bool,
}

/// The counters of a service.
#[derive(Debug, Clone)]
pub struct ServiceCounters {
    pub checks: Tally,
    pub registrations: Tally,
}

/// What can be loaded, how often that was accepted and refused, and when last.
#[derive(Debug, Clone)]
pub struct Loads {
    pub part: &'static str,
    pub counts: [(&'static str, u64, Option<SystemTime>); 2],
}

impl Loads {
    fn new(part: &'static str) -> Self {
        Self { part, counts: [("accepted", 0, None), ("refused", 0, None)] }
    }
}

impl Default for Counters {
    fn default() -> Self {
        let serious = Event::KINDS.iter().filter(|kind| kind.severity >= Severity::Warn);
        Self {
            rosters: BTreeMap::new(),
            templates: BTreeMap::new(),
            services: BTreeMap::new(),
            loads: ["configuration", "templates"].map(Loads::new),
            write_errors: BTreeMap::new(),
            events: serious.map(|kind| (kind.name, (kind.severity, 0))).collect(),
        }
    }
}

impl Default for TemplateCounters {
    fn default() -> Self {
        Self {
            renders: Tally::new(&["succeeded", "failed"]),
            checks: Tally::new(&["passed", "rejected", "failed"]),
            writes: Tally::new(&["written", "unchanged", "removed", "blocked", "failed"]),
            reloads: Tally::new(&["succeeded", "failed"]),
            has_check: false,
            has_reload: false,
        }
    }
}

impl Default for ServiceCounters {
    fn default() -> Self {
        Self {
            checks: Tally::new(&["passed", "failed"]),
            registrations: Tally::new(&["registered", "updated", "taken_over", "deregistered", "foreign", "failed"]),
        }
    }
}

impl Counters {
    /// Drops what the configuration no longer has, and adds what is new.
    pub fn configure(&mut self, config: &Config) {
        keep(&mut self.rosters, config.rosters.iter().map(|roster| &roster.name));
        keep(&mut self.templates, config.templates.iter().map(|template| &template.name));
        keep(&mut self.services, config.services.iter().map(|service| &service.name));
        for template in &config.templates {
            if let Some(counters) = self.templates.get_mut(&template.name) {
                (counters.has_check, counters.has_reload) = (template.check.is_some(), template.reload.is_some());
            }
        }
    }

    /// Counts an event.
    pub fn record(&mut self, event: &Event, now: SystemTime) {
        if let Some((_, count)) = self.events.get_mut(event.kind().name) {
            *count += 1;
        }
        match event {
            Event::MembersChanged { roster, added, removed, .. } => {
                if let Some(roster) = self.rosters.get_mut(roster) {
                    roster.added += added.len() as u64;
                    roster.removed += removed.len() as u64;
                }
            }
            Event::RosterHeld { roster, .. } => {
                if let Some(roster) = self.rosters.get_mut(roster) {
                    roster.holds += 1;
                }
            }
            Event::ConfigLoaded { .. } => self.loaded(0, 0, now),
            Event::ConfigRefused { .. } => self.loaded(0, 1, now),
            Event::TemplatesChanged {} => self.loaded(1, 0, now),
            Event::TemplatesRefused { .. } => self.loaded(1, 1, now),
            _ => {
                self.record_template(event);
                self.record_service(event);
            }
        }
    }

    fn loaded(&mut self, part: usize, outcome: usize, now: SystemTime) {
        let (_, count, last) = &mut self.loads[part].counts[outcome];
        *count += 1;
        *last = Some(now);
    }

    fn record_template(&mut self, event: &Event) {
        match event {
            Event::RenderFinished { template, outcome, took_us, .. } => {
                self.of(template, |it| it.renders.add(outcome, Some(Duration::from_micros(*took_us))));
            }
            Event::CheckFinished { template, outcome, took_us, .. } => {
                self.of(template, |it| it.checks.add(outcome, Some(Duration::from_micros(*took_us))));
            }
            Event::FileWritten { template, took_ms, .. } => {
                self.of(template, |it| it.writes.add("written", took_ms.map(Duration::from_millis)));
            }
            Event::FileUnchanged { template, .. } => self.of(template, |it| it.writes.add("unchanged", None)),
            Event::FileRemoved { template, .. } => self.of(template, |it| it.writes.add("removed", None)),
            Event::WriteBlocked { template, .. } | Event::UnitBlocked { template, .. } => {
                self.of(template, |it| it.writes.add("blocked", None));
            }
            Event::WriteFailed { template, errno, .. } => {
                self.of(template, |it| it.writes.add("failed", None));
                let name = errno.map_or_else(|| "none".to_owned(), |errno| format!("{:?}", Errno::from_raw(errno)));
                *self.write_errors.entry(name).or_default() += 1;
            }
            Event::ReloadSucceeded { templates, took_ms, .. } => self.reloaded(templates, "succeeded", Some(*took_ms)),
            Event::ReloadFailed { templates, took_ms, .. } => self.reloaded(templates, "failed", *took_ms),
            _ => {}
        }
    }

    fn record_service(&mut self, event: &Event) {
        let (service, outcome) = match event {
            Event::ServiceChecked { service, outcome, took_us } => {
                if let Some(service) = self.services.get_mut(service) {
                    service.checks.add(outcome, Some(Duration::from_micros(*took_us)));
                }
                return;
            }
            Event::Registered { service, .. } => (service, "registered"),
            Event::RegistrationUpdated { service, .. } => (service, "updated"),
            Event::TakenOver { service, .. } => (service, "taken_over"),
            Event::Deregistered { service, .. } => (service, "deregistered"),
            Event::ForeignNode { service, .. } => (service, "foreign"),
            Event::RegistrationFailed { service, .. } => (service, "failed"),
            _ => return,
        };
        if let Some(service) = self.services.get_mut(service) {
            service.registrations.add(outcome, None);
        }
    }

    /// One run of a command counts once for a template, however many of its files it is for.
    fn reloaded(&mut self, files: &[Arc<str>], outcome: &str, took_ms: Option<u64>) {
        let templates: BTreeSet<Arc<str>> = files.iter().filter_map(|file| self.template_of(file)).collect();
        for template in templates {
            self.of(&template, |it| it.reloads.add(outcome, took_ms.map(Duration::from_millis)));
        }
    }

    fn of(&mut self, file: &Arc<str>, count: impl FnOnce(&mut TemplateCounters)) {
        if let Some(counters) = self.template_of(file).and_then(|template| self.templates.get_mut(&template)) {
            count(counters);
        }
    }

    /// The configured template of a file: `vhosts` of `vhosts[web]`, the file of the key `web`. A key has no bracket.
    pub fn template_of(&self, file: &Arc<str>) -> Option<Arc<str>> {
        let known = |name: &str| self.templates.get_key_value(name).map(|(name, _)| Arc::clone(name));
        known(file).or_else(|| known(file.rsplit_once('[')?.0))
    }
}

fn keep<'a, C: Default>(counters: &mut BTreeMap<Arc<str>, C>, names: impl Iterator<Item = &'a Arc<str>>) {
    let names: BTreeSet<&Arc<str>> = names.collect();
    counters.retain(|name, _| names.contains(name));
    for name in names {
        counters.entry(Arc::clone(name)).or_default();
    }
}
