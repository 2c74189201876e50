//! A service of this host: when it is checked, and whether it is up. Pure.

use std::sync::Arc;
use std::time::Duration;

use super::event::Event;
use super::moment::Moment;
use crate::config::ServiceConfig;

#[cfg(test)]
mod tests;

/// How much the time between two checks differs from `interval`, so that the services of a fleet are not checked in step.
const JITTER: f64 = 0.1;

/// Whether a service is up, as its last checks show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Too few checks have ended since the start: it is neither registered nor deregistered.
    Unknown {
        /// How many passed in a row.
        passes: u32,
        /// How many failed in a row.
        failures: u32,
    },
    /// It is up.
    Up {
        /// How many checks failed since one passed.
        failures: u32,
    },
    /// It is down.
    Down {
        /// How many checks passed since one failed.
        passes: u32,
    },
}

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    config: Arc<ServiceConfig>,
    health: Health,
    /// Since when it is up or down.
    since: Moment,
    /// When the next check starts; `None` while one runs.
    next: Option<Moment>,
    /// When the last check started.
    started: Moment,
    /// Counts the checks. The result of a check of an earlier configuration has another number.
    number: u64,
    last_error: Option<String>,
}

impl Service {
    /// A service that is checked at once.
    pub fn new(config: Arc<ServiceConfig>, now: Moment) -> Self {
        let health = Health::Unknown { passes: 0, failures: 0 };
        Self { config, health, since: now, next: Some(now), started: now, number: 0, last_error: None }
    }

    /// Its configuration.
    pub fn config(&self) -> &Arc<ServiceConfig> {
        &self.config
    }

    /// Its health.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Whether it is up; `None` before that is known.
    pub fn is_up(&self) -> Option<bool> {
        match self.health {
            Health::Unknown { .. } => None,
            Health::Up { .. } => Some(true),
            Health::Down { .. } => Some(false),
        }
    }

    /// Since when it is up or down.
    pub fn since(&self) -> Moment {
        self.since
    }

    /// Why its last check failed; `None` if it passed.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Changes the configuration. What is known stays, and another check begins at once.
    pub fn configure(&mut self, config: Arc<ServiceConfig>, now: Moment) {
        if self.config.check != config.check {
            self.number += 1;
            self.next = Some(now);
        }
        self.config = config;
    }

    /// When the next check starts; `None` while one runs.
    pub fn next_check(&self) -> Option<Moment> {
        self.next
    }

    /// Starts the check that is due, and returns its number.
    pub fn start_check(&mut self, now: Moment) -> Option<u64> {
        self.next.take_if(|next| *next <= now)?;
        self.number += 1;
        self.started = now;
        Some(self.number)
    }

    /// A check has ended: well, or for this reason. `random` is between 0 and 1.
    pub fn checked(&mut self, now: Moment, number: u64, result: Result<(), String>, random: f64) -> Option<Event> {
        if number != self.number {
            return None;
        }
        let interval = self.config.interval.mul_f64(JITTER.mul_add(random - 0.5, 1.0));
        self.next = Some((self.started + interval).max(now + Duration::from_millis(1)));
        let before = self.is_up();
        self.health = self.health.after(result.is_ok(), self.config.rise, self.config.fall);
        self.last_error = result.err();
        let is_up = self.is_up().filter(|_| self.is_up() != before)?;
        self.since = now;
        let service = Arc::clone(&self.config.name);
        Some(match &self.last_error {
            Some(reason) if !is_up => Event::ServiceDown { service, reason: reason.clone() },
            _ => Event::ServiceUp { service },
        })
    }
}

impl Health {
    /// The health after another check. `rise` passes make a service up, `fall` failures make it down, in a row.
    fn after(self, passed: bool, rise: u32, fall: u32) -> Self {
        match (self, passed) {
            (Self::Unknown { passes, .. } | Self::Down { passes }, true) if passes + 1 >= rise => {
                Self::Up { failures: 0 }
            }
            (Self::Unknown { failures, .. } | Self::Up { failures }, false) if failures + 1 >= fall => {
                Self::Down { passes: 0 }
            }
            (Self::Unknown { passes, .. }, true) => Self::Unknown { passes: passes + 1, failures: 0 },
            (Self::Unknown { failures, .. }, false) => Self::Unknown { passes: 0, failures: failures + 1 },
            (Self::Up { .. }, true) => Self::Up { failures: 0 },
            (Self::Up { failures }, false) => Self::Up { failures: failures + 1 },
            (Self::Down { passes }, true) => Self::Down { passes: passes + 1 },
            (Self::Down { .. }, false) => Self::Down { passes: 0 },
        }
    }
}
