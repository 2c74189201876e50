//! One `[[key]]`: the data of a node as a value for templates.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::event::Event;
use super::freshness::Freshness;
use super::hold::{Hold, Reason};
use super::lock::{Lock, LockStanding};
use super::moment::Moment;
use super::saved::{GuardHistory, Origin, SavedMember, SavedPath, SavedRoster, SavedUpdate};
use crate::config::{KeyConfig, KeyFormat, Unmapped};
use crate::jones::path::Service;
use crate::model::node_path::Subject;
use crate::model::registry_event::{Bytes, Mapping, Members, Seen, View};
use crate::payload::{json, without_bom};

#[cfg(test)]
mod tests;

/// The state of a key.
#[derive(Debug, Clone)]
pub struct Key {
    config: Arc<KeyConfig>,
    good: Option<Arc<Value>>,
    hold: Option<Hold>,
    /// The node that Jones's `nodemaps` names for the host, if it is known.
    mapping: Option<Mapping>,
    seen: bool,
    freshness: Freshness,
    /// Saved data is used.
    uses_saved: bool,
    /// Admitted data that is not saved yet.
    admitted: Option<Bytes>,
    /// Of a `[[lock]]`. Nothing of it is saved.
    lock: Option<Lock>,
}

impl Key {
    /// Creates a key with its saved data, which is not used before [`Key::use_saved`].
    pub fn new(config: Arc<KeyConfig>, saved: Option<&SavedRoster>, url: &str) -> Self {
        let mut key = Self {
            good: None,
            hold: None,
            mapping: None,
            seen: false,
            freshness: Freshness::NEVER,
            uses_saved: false,
            admitted: None,
            lock: (config.format == KeyFormat::Lock).then(Lock::default),
            config,
        };
        if let Some(saved) = saved.filter(|saved| key.lock.is_none() && saved.origin == key.origin(url)) {
            let kept = saved.paths.get("").and_then(|known| known.members.get(""));
            key.good = kept.and_then(|kept| parse(key.config.format, &kept.data).ok()).map(Arc::new);
            key.freshness = Freshness::from_saved(saved.age);
        }
        key
    }

    fn origin(&self, url: &str) -> Origin {
        Origin { url: Arc::from(url), path: self.config.subject.to_string().into() }
    }

    /// Its configuration.
    pub fn config(&self) -> &Arc<KeyConfig> {
        &self.config
    }

    /// Updates it after its node was read. Returns whether templates see a change.
    pub fn reset(&mut self, now: Moment, view: &View, events: &mut Vec<Event>) -> bool {
        let seen = match view {
            View::Members(seen) => return self.set_line(now, seen),
            View::Node(seen) => seen,
            View::Mapped { mapping, data } => {
                self.mapping.clone_from(mapping);
                data
            }
            View::Keyed(_) => return false,
        };
        let had = self.value().is_some();
        self.seen = true;
        match seen {
            Seen::Unreadable(_) => self.freshness.mark_stale(now),
            Seen::Absent | Seen::Present(_) => self.freshness.confirm(),
        }
        let reason = match seen {
            Seen::Absent => Reason::KeyAbsent,
            Seen::Unreadable(why) => Reason::Unreadable(Arc::clone(why)),
            Seen::Present(_) if self.is_unmapped() => Reason::Unmapped,
            Seen::Present(bytes) => match parse(self.config.format, bytes) {
                Ok(value) => {
                    self.admitted = Some(Arc::clone(bytes)).filter(|_| self.lock.is_none());
                    return self.admit(value, events) || !had;
                }
                Err(why) => Reason::KeyMalformed(why),
            },
        };
        let reason = self.of_host(reason);
        if self.hold.as_ref().is_none_or(|hold| hold.reason != reason) {
            let (roster, path) = (Arc::clone(&self.config.name), self.config.subject.to_string());
            let kept = self.good.as_ref().map(|_| 1);
            events.push(Event::RosterHeld { roster, path, reason: reason.describe(&self.config.subject), kept });
        }
        let since = self.hold.take().map_or(now, |hold| hold.since);
        self.hold = Some(Hold { reason, since });
        !had && self.good.is_some()
    }

    /// The contenders of the lock were read. Returns whether templates see a change.
    fn set_line(&mut self, now: Moment, seen: &Seen<Members>) -> bool {
        let Some(lock) = &mut self.lock else { return false };
        lock.set_line(seen);
        self.seen = true;
        let reason = match seen {
            Seen::Unreadable(why) => Some(Reason::Unreadable(Arc::clone(why))),
            Seen::Absent | Seen::Present(_) => None,
        };
        match &reason {
            Some(_) => self.freshness.mark_stale(now),
            None => self.freshness.confirm(),
        }
        let since = self.hold.take().map_or(now, |hold| hold.since);
        self.hold = reason.map(|reason| Hold { reason, since });
        self.update_lock()
    }

    /// The place of the agent in the line of the lock changed. Returns whether templates see a change.
    pub fn set_standing(&mut self, now: Moment, standing: LockStanding) -> bool {
        let Some(lock) = &mut self.lock else { return false };
        lock.set_standing(now, standing);
        self.update_lock()
    }

    fn update_lock(&mut self) -> bool {
        let value = self.lock.as_ref().and_then(Lock::value).map(Arc::new);
        let changed = value != self.good;
        self.good = value;
        changed
    }

    /// The lock, if it is one.
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    /// Whether `nodemaps` does not name the host, and the host then keeps what it has.
    fn is_unmapped(&self) -> bool {
        let is_unlisted = self.mapping.as_ref().is_some_and(|mapping| !mapping.is_listed);
        is_unlisted && self.config.format == KeyFormat::Jones(Unmapped::Hold)
    }

    /// A reason with the host, the environment and the path that it concerns. A plain node has no host.
    fn of_host(&self, reason: Reason) -> Reason {
        let Subject::Mapped { service, host } = &self.config.subject else { return reason };
        let (text, env) = match (&self.mapping, &reason) {
            (None, Reason::Unreadable(why)) => (why.to_string(), String::new()),
            (None, _) | (_, Reason::Unmapped) => (reason.describe(&service.child("nodemaps")), String::new()),
            (Some(Mapping { path, .. }), _) => {
                let found = Service::parse(service.name()).ok().and_then(|it| it.destination(path.as_str()).ok());
                let env = found.map(|found| format!(", environment {}", found.kind)).unwrap_or_default();
                (reason.describe(path), env)
            }
        };
        Reason::OfHost(format!("{text} (host {host}{env})"))
    }

    /// The registry cannot be reached.
    pub fn connection_lost(&mut self, now: Moment) {
        self.freshness.mark_stale(now);
    }

    /// Allows templates to use saved data that is at most `max` old. Returns whether they see data now and saw none
    /// before.
    pub fn use_saved(&mut self, now: Moment, max: Option<Duration>) -> bool {
        let young = max.is_none_or(|max| self.freshness.age(now).is_some_and(|age| age <= max));
        let had = self.value().is_some();
        self.uses_saved |= young;
        !had && self.value().is_some()
    }

    /// The data that was admitted since the last call, to be saved.
    pub fn take_saved_update(&mut self, url: &str) -> Option<SavedUpdate> {
        let kept = SavedMember { data: self.admitted.take()?, slot: None };
        let known = SavedPath {
            version: None,
            members: BTreeMap::from([(Arc::from(""), kept)]),
            guard_history: GuardHistory::default(),
        };
        let paths = BTreeMap::from([(Arc::from(""), Some(known))]);
        Some(SavedUpdate {
            name: Arc::clone(&self.config.name),
            origin: self.origin(url),
            paths,
            held: BTreeMap::new(),
        })
    }

    fn admit(&mut self, value: Value, events: &mut Vec<Event>) -> bool {
        if self.hold.take().is_some() {
            let (roster, path) = (Arc::clone(&self.config.name), self.config.subject.to_string());
            events.push(Event::HoldReleased { roster, path });
        }
        let changed = self.good.as_deref() != Some(&value);
        if changed {
            self.good = Some(Arc::new(value));
        }
        changed
    }

    /// What templates see; `None` if there was never known-good data.
    pub fn value(&self) -> Option<&Arc<Value>> {
        self.good.as_ref().filter(|_| self.seen || self.uses_saved)
    }

    /// The node that Jones's `nodemaps` names for the host, if it is known.
    pub fn mapping(&self) -> Option<&Mapping> {
        self.mapping.as_ref()
    }

    /// How recent the data is.
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// How long ago the data was last confirmed: zero while it is fresh; `None` if unknown.
    pub fn age(&self, now: Moment) -> Option<Duration> {
        self.freshness.age(now)
    }

    /// The hold in force.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// Whether the registry has answered about it in this run.
    pub fn is_seen(&self) -> bool {
        self.seen
    }
}

fn parse(format: KeyFormat, bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not valid UTF-8: {error}"))?;
    let text = without_bom(text);
    match format {
        KeyFormat::Text => Ok(Value::from(text.strip_suffix('\n').map_or(text, |line| line.trim_end_matches('\r')))),
        KeyFormat::Json | KeyFormat::Lock => json::parse(text).map_err(|error| format!("not valid JSON: {error}")),
        KeyFormat::Jones(_) if text.trim().is_empty() => Err("empty".to_owned()),
        KeyFormat::Jones(_) => match json::parse(text).map_err(|error| format!("not valid JSON: {error}"))? {
            object @ Value::Object(_) => Ok(object),
            _ => Err("not a JSON object".to_owned()),
        },
        KeyFormat::Yaml => serde_norway::from_str(text).map_err(|error| format!("not valid YAML: {error}")),
        KeyFormat::Toml => toml::from_str(text).map_err(|error| format!("not valid TOML: {}", error.message())),
    }
}
