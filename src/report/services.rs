//! The services of this host in `status` and `explain`.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::conditions::{Condition, Health};
use super::context::Clock;
use super::words::{field, line};
use crate::decide::report::{NodeState, ServiceHealth, ServiceReport, plural};
use crate::text::command::rosterd;
use crate::text::time::utc;

/// A service in `status --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Its registry's name.
    pub registry: String,
    /// The path of its node.
    pub node: String,
    /// Whether it is up; null before that is known.
    pub up: Option<bool>,
    /// Since when it is up or down.
    pub since: String,
    /// Whether its node is registered in this session.
    pub registered: bool,
    /// Whether a person has taken it out.
    pub drained: bool,
    /// Why it is not registered, or else why its last check or `data_cmd` failed; null if all is well.
    pub last_error: Option<String>,
    /// All of this as text.
    pub text: String,
}

/// Whether it is up; `None` before that is known.
fn is_up(it: &ServiceReport) -> Option<bool> {
    match it.health {
        ServiceHealth::Unknown { .. } => None,
        ServiceHealth::Up { .. } => Some(true),
        ServiceHealth::Down { .. } => Some(false),
    }
}

/// Whether its node is registered in this session.
pub fn is_registered(it: &ServiceReport) -> bool {
    it.is_connected && it.state == Some(NodeState::Registered)
}

/// Why it is not registered although it is up.
fn obstacle(it: &ServiceReport) -> Option<String> {
    match &it.state {
        _ if !it.is_connected => Some("the agent is not connected to the registry".to_owned()),
        Some(NodeState::Foreign(0)) => {
            Some("its node already exists and is persistent; delete it if no client needs it".to_owned())
        }
        Some(NodeState::Foreign(owner)) => Some(format!(
            "its node belongs to session {owner:#x} of another client; the service will be registered when that session ends"
        )),
        Some(NodeState::Failed(reason)) => Some(reason.clone()),
        _ => None,
    }
}

/// The state in words, and how serious it is.
pub fn condition(it: &ServiceReport, clock: &Clock<'_>) -> Condition {
    let state = |health, text: String| Condition { text, blocking: health > Health::Ok, health };
    if let Some(drain) = &it.drain {
        let until = drain.left.map(|left| clock.due(clock.now + left));
        let until = until.map_or_else(
            || format!("until `{}` is run", rosterd(&["undrain", &it.name])),
            |until| format!("until {until}"),
        );
        let reason = drain.reason.as_deref().map(|reason| format!(": {}", field(reason))).unwrap_or_default();
        return state(Health::Warning, format!("DRAINED by uid {} {until}{reason}", drain.uid));
    }
    let since = clock.past(it.since);
    let why = it.check_error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    let (rise, fall) = it.rise_and_fall;
    match (it.health, obstacle(it)) {
        (ServiceHealth::Unknown { passes, failures }, _) => {
            let text = format!(
                "health not known yet (passed checks in a row: {passes} of {rise} needed, failed: {failures} of {fall}){why}"
            );
            state(Health::Ok, text)
        }
        (ServiceHealth::Down { .. }, _) => state(Health::Warning, format!("DOWN since {since}{why}")),
        (ServiceHealth::Up { .. }, Some(obstacle)) => {
            state(Health::Warning, format!("up since {since}, NOT REGISTERED: {obstacle}"))
        }
        (ServiceHealth::Up { failures: 0 }, None) if is_registered(it) => {
            state(Health::Ok, format!("up since {since}, registered"))
        }
        (ServiceHealth::Up { failures }, None) => {
            let registered = if is_registered(it) { "registered" } else { "being registered" };
            let failed = if failures > 0 {
                format!(", {failures} of {fall} checks failed in a row{why}")
            } else {
                String::new()
            };
            state(Health::Ok, format!("up since {since}, {registered}{failed}"))
        }
    }
}

/// The status.
pub fn status(it: &ServiceReport, clock: &Clock<'_>) -> ServiceStatus {
    let obstacle = obstacle(it).filter(|_| is_up(it) == Some(true));
    ServiceStatus {
        name: it.name.clone(),
        registry: it.registry.clone(),
        node: it.node.clone(),
        up: is_up(it),
        since: utc(clock.at(it.since)),
        registered: is_registered(it),
        drained: it.drain.is_some(),
        last_error: obstacle.or_else(|| it.check_error.clone()).or_else(|| it.data_error.clone()),
        text: condition(it, clock).text,
    }
}

/// The text of `explain`.
pub fn explain(it: &ServiceReport, clock: &Clock<'_>) -> String {
    let mut out = format!("service {}: {} in registry {}\n", it.name, field(&it.node), field(&it.registry));
    for (number, text) in condition(it, clock).text.lines().enumerate() {
        out.push_str(if number == 0 { "  " } else { "    " });
        out.push_str(&line(text));
        out.push('\n');
    }
    if let Some(why) = &it.data_error {
        let _ = writeln!(out, "  data_cmd failed; its previous output, if any, stays in use: {}", line(why));
    }
    let (rise, fall) = it.rise_and_fall;
    let _ = writeln!(
        out,
        "  up after {} in a row, down after {} in a row",
        plural(rise as usize, "passed check"),
        plural(fall as usize, "failed check")
    );
    out
}
