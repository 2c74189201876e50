//! The output of `status` and `status --json`, made from the engine's report.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::config::Reload;
use crate::decide::Moment;
use crate::decide::report::{
    Hold, HoldReport, IsolatedReport, KeyReport, RegistryReport, ReloadReport, ReloadState, Report, RosterReport,
    RosterValue, TemplateReport,
};
use crate::log::json_safe;
use crate::payload::mask_credentials;
use crate::text::time::utc;

use super::conditions::{self, Condition, Health, own_conditions, reload_condition, template_conditions};
use super::context::{Clock, Context, Part, Refusal};
use super::health::HealthStatus;
use super::program::ProgramStatus;
use super::services::{self, ServiceStatus};
use super::words;

/// The output of `status --json`. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// Its process ID.
    pub pid: u32,
    /// When it was started.
    pub started: String,
    /// Everything that is wrong.
    #[serde(default)]
    pub health: HealthStatus,
    /// What was refused since it was last loaded.
    #[serde(default)]
    pub refused: Vec<RefusedStatus>,
    /// The pause in force.
    pub paused: Option<PausedStatus>,
    /// The program that the agent runs; null if there is none.
    pub program: Option<ProgramStatus>,
    /// The registries that are followed.
    pub registries: Vec<RegistryStatus>,
    /// Every roster.
    pub rosters: Vec<RosterStatus>,
    /// Every `[[key]]`.
    pub keys: Vec<KeyStatus>,
    /// Every template.
    pub templates: Vec<TemplateStatus>,
    /// The services of this host.
    pub services: Vec<ServiceStatus>,
}

/// A load that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedStatus {
    /// `configuration` or `templates`.
    pub what: String,
    /// Since when nothing newer has been loaded.
    pub since: String,
    /// The place of the first problem, as `FILE:LINE`; null if it is in no file.
    pub at: Option<String>,
    /// The first problem.
    pub reason: String,
    /// The number of problems.
    pub problems: usize,
    /// All of this as text, with what to do.
    pub text: String,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PausedStatus {
    /// When it began.
    pub since: String,
    /// When it ends.
    pub until: String,
    /// The reason, as given.
    pub reason: Option<String>,
    /// The user who requested it.
    pub uid: u32,
}

/// A registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryStatus {
    /// Its name.
    pub name: String,
    /// Its URL, without credentials.
    pub url: String,
    /// Whether it is connected.
    pub reached: bool,
    /// The error if it is not.
    pub why: Option<String>,
}

/// A roster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RosterStatus {
    /// Its name.
    pub name: String,
    /// Its registry's.
    pub registry: String,
    /// Its path.
    pub path: String,
    /// The number of members that templates see, of all keys together.
    pub members: usize,
    /// The number of members in the registry; null if unknown.
    #[serde(default)]
    pub in_registry: Option<usize>,
    /// The payload format, as configured or detected; if the keys have different formats, each format once.
    pub payload: String,
    /// The age of the view in seconds: 0 while it is fresh, null before the first view.
    pub view_age_s: Option<u64>,
    /// Whether the registry is connected and the path has been read since.
    pub fresh: bool,
    /// The first hold because of which templates see other members than the registry has.
    pub hold: Option<HoldStatus>,
    /// Every hold, including those of keys that are omitted because they never had enough members.
    pub holds: Vec<HoldStatus>,
    /// The number of quarantined nodes.
    pub quarantined: usize,
    /// The number of members that are used without their data, which is not JSON.
    #[serde(default)]
    pub data_errors: usize,
    /// The number of members that are left out of a file, because it fails with them.
    #[serde(default)]
    pub left_out: usize,
    /// The number of nodes that are not members.
    #[serde(default)]
    pub not_members: usize,
    /// The number of members that `where` excludes.
    pub filtered: usize,
    /// The number of these members for which `where` failed.
    pub filter_errors: usize,
    /// The number of nodes with the same host and port as another node.
    pub duplicates: usize,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldStatus {
    /// The held path.
    pub path: String,
    /// The reason as text.
    pub reason: String,
    /// When it began.
    pub since: String,
    /// When it times out; null if it does not.
    pub until: Option<String>,
    /// What ends it.
    pub release: String,
    /// Whether `accept` can end it.
    pub acceptable: bool,
}

/// The state of a `[[lock]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockStatus {
    /// Whether this agent holds it.
    pub held: bool,
    /// Since when it holds it, or does not.
    pub since: String,
    /// Its place in the line; 1 is the first, null if it is not in the line.
    pub position: Option<usize>,
    /// The number of contenders.
    pub contenders: usize,
    /// The identifier of the first contender.
    pub holder: Option<String>,
    /// All of this as text.
    pub text: String,
}

/// A `[[key]]`, or a `[[lock]]` with the name `locks.NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStatus {
    /// Its name.
    pub name: String,
    /// Its registry's.
    pub registry: String,
    /// Its path.
    pub path: String,
    /// The node that Jones's `nodemaps` names for the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Of a `[[lock]]`: its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockStatus>,
    /// Whether there is known-good data.
    pub known: bool,
    /// The age of the data in seconds: 0 while it is fresh, null before it is first read.
    #[serde(default)]
    pub view_age_s: Option<u64>,
    /// Whether the registry is connected and the path has been read since.
    #[serde(default)]
    pub fresh: bool,
    /// The current hold.
    pub hold: Option<HoldStatus>,
}

/// A template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateStatus {
    /// Its name.
    pub name: String,
    /// Its destination.
    pub dest: String,
    /// When the destination was last found or brought up to date.
    pub rendered_at: Option<String>,
    /// Whether a reload is pending for it.
    pub owed_reload: bool,
    /// The pending reload.
    pub reload: Option<ReloadStatus>,
    /// The error of the last publication, or else of the last reload; null if both succeeded.
    pub last_error: Option<String>,
    /// Whether the destination is up to date.
    #[serde(default)]
    pub state: TemplateState,
    /// Why the destination is not up to date; null if it is.
    pub waiting_for: Option<String>,
    /// The generation that the file is pinned to; null if it is not pinned.
    #[serde(default)]
    pub pinned: Option<PinnedStatus>,
    /// When another process was first seen to have changed the destination; null if none has.
    #[serde(default)]
    pub drifted_since: Option<String>,
    /// The members that are left out of its file, because it fails with them.
    #[serde(default)]
    pub left_out: Vec<LeftOutStatus>,
    /// What a person should look at, besides `waiting_for`: members that are left out, or that have no port.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A pinned file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedStatus {
    /// The number of the generation.
    pub generation: u64,
    /// When the file was rolled back.
    pub since: String,
    /// The user who requested it.
    pub uid: u32,
    /// The reason, as given.
    pub reason: Option<String>,
    /// The number of changes since the rollback that are not in the file.
    pub withheld: u32,
}

/// Whether a template's file is up to date.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateState {
    /// It is. Its reload may still wait for its time.
    #[default]
    UpToDate,
    /// It will be soon: it is being rendered, or changes settle.
    Updating,
    /// It is not, or its reload fails.
    NotUpToDate,
}

/// A member that is left out of one template's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutStatus {
    /// The roster.
    pub roster: String,
    /// The key, where the roster's path has a `*`.
    pub key: Option<String>,
    /// The member's name.
    pub member: String,
    /// How the file fails with it, with the end of the output of a check.
    pub why: String,
    /// When it is retried unchanged; null if another template of its unit decides that.
    #[serde(default)]
    pub again: Option<String>,
}

/// A pending reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadStatus {
    /// The command.
    pub command: String,
    /// How often it has failed in a row.
    pub failures: u32,
    /// When it runs next; null while it is running, waits for other files, or was given up.
    pub next: Option<String>,
    /// Whether it was given up.
    pub given_up: bool,
    /// All of this as text.
    #[serde(default)]
    pub text: String,
}

impl Status {
    /// The status of a report.
    pub fn new(report: &Report, context: &Context) -> Self {
        let clock = &context.clock(report);
        let paused = report.paused_until.and_then(|until| {
            let pause = context.pause.as_ref()?;
            let (since, until) = (utc(pause.since), clock.time(until));
            Some(PausedStatus { since, until, reason: pause.reason.clone(), uid: pause.uid })
        });
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: clock.time(Moment::START),
            health: HealthStatus::new(report, context),
            refused: context.refused.iter().map(|it| refused(it, context)).collect(),
            paused,
            program: context.program.as_ref().map(|it| ProgramStatus::new(it, clock)),
            registries: report.registries.iter().map(|(name, it)| registry(name, it)).collect(),
            rosters: report.rosters.values().map(|it| roster(report, it, clock)).collect(),
            keys: report.keys.values().map(|it| key(it, clock)).collect(),
            templates: report.templates.values().map(|it| template(report, it, context)).collect(),
            services: context.services.iter().map(|it| services::status(it, clock)).collect(),
        }
    }

    /// The text of `status --json`.
    pub fn json(&self) -> String {
        // It cannot fail: every key is a string, and nothing else is asked of a status.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.lines().map(|line| json_safe(line) + "\n").collect()
    }
}

fn refused(it: &Refusal, context: &Context) -> RefusedStatus {
    let what = match it.part {
        Part::Configuration => "configuration",
        Part::Templates => "templates",
    };
    RefusedStatus {
        what: what.to_owned(),
        since: utc(it.since),
        at: it.place.clone(),
        reason: mask_credentials(&it.reason).into_owned(),
        problems: it.problems,
        text: conditions::refused(it, context).text,
    }
}

fn registry(name: &str, it: &RegistryReport) -> RegistryStatus {
    let why = || it.error.clone().unwrap_or_else(|| "no answer yet".to_owned());
    RegistryStatus { name: name.to_owned(), url: it.url.to_string(), reached: it.reached, why: (!it.reached).then(why) }
}

fn hold(path: &str, hold: &Hold, acceptable: bool, clock: &Clock) -> HoldStatus {
    HoldStatus {
        path: path.to_owned(),
        reason: mask_credentials(&hold.reason.describe(&path)).into_owned(),
        since: clock.time(hold.since),
        until: hold.reason.until().map(|until| clock.time(until)),
        release: words::release(&hold.reason, clock),
        acceptable,
    }
}

/// The number of members that are left out of at least one file.
fn left_out_count(report: &Report, roster: &str) -> usize {
    let isolated = report.templates.values().flat_map(|it| &it.isolated).map(|it| &it.member);
    isolated.filter(|it| *it.roster == *roster).collect::<BTreeSet<_>>().len()
}

fn roster(report: &Report, it: &RosterReport, clock: &Clock) -> RosterStatus {
    let status = |held: &HoldReport| hold(&held.path, &held.hold, held.acceptable, clock);
    // The first hold that affects what templates see. A hold of a key that never had enough members does not.
    let first = it.holds.iter().find(|held| held.kept.is_some()).or(it.holds.first());
    // Before a format is detected, this is `auto`.
    let formats: Vec<String> = it.formats.keys().map(ToString::to_string).collect();
    RosterStatus {
        name: it.config.name.to_string(),
        registry: it.config.registry.to_string(),
        path: it.config.subject.to_string(),
        members: it.value.as_ref().map_or(0, RosterValue::count),
        in_registry: it.in_registry,
        payload: if formats.is_empty() { it.config.payload.to_string() } else { formats.join(", ") },
        view_age_s: it.freshness.age(clock.now).map(|age| age.as_secs()),
        fresh: it.freshness.is_live(),
        hold: first.filter(|_| it.held).map(status),
        holds: it.holds.iter().map(status).collect(),
        quarantined: it.quarantined.len(),
        data_errors: it.data_errors.len(),
        left_out: left_out_count(report, &it.config.name),
        not_members: it.not_members.len(),
        filtered: it.filtered.len(),
        filter_errors: it.filtered.iter().filter(|(_, error)| error.is_some()).count(),
        duplicates: it.duplicates.len(),
    }
}

fn key(it: &KeyReport, clock: &Clock) -> KeyStatus {
    let config = &it.config;
    KeyStatus {
        name: config.name.to_string(),
        registry: config.registry.to_string(),
        path: config.subject.to_string(),
        node: it.mapping.as_ref().map(|mapping| mapping.path.to_string()),
        lock: it.lock.as_ref().map(|lock| LockStatus {
            held: lock.is_held,
            since: clock.time(lock.since),
            position: lock.position,
            contenders: lock.contenders,
            holder: lock.holder.clone(),
            text: conditions::lock_state(lock, clock),
        }),
        known: it.known,
        view_age_s: it.freshness.age(clock.now).map(|age| age.as_secs()),
        fresh: it.freshness.is_live(),
        hold: it.hold.as_ref().map(|held| hold(&config.subject.to_string(), held, false, clock)),
    }
}

fn left_out(it: &IsolatedReport, clock: &Clock) -> LeftOutStatus {
    LeftOutStatus {
        roster: it.member.roster.to_string(),
        key: it.member.key.as_ref().map(ToString::to_string),
        member: it.member.member.to_string(),
        why: mask_credentials(&it.failure.of_member()).into_owned(),
        again: it.retry.map(|again| clock.time(again.max(clock.now))),
    }
}

fn reload(command: &Reload, it: &ReloadReport, clock: &Clock) -> ReloadStatus {
    let next = if let ReloadState::Due { at, .. } = it.state { Some(at.max(clock.now)) } else { None };
    ReloadStatus {
        command: command.to_string(),
        failures: it.failures,
        next: next.map(|next| clock.time(next)),
        given_up: it.state == ReloadState::GivenUp,
        text: mask_credentials(&reload_condition(command, it, clock).text).into_owned(),
    }
}

fn template(report: &Report, it: &TemplateReport, context: &Context) -> TemplateStatus {
    let clock = &context.clock(report);
    let pending = report.reload_of(&it.config.name);
    let failed = it.failure.as_ref().map(|it| &it.failure.message);
    let error = failed.or_else(|| pending?.1.last_error.as_ref());
    let blocking: Vec<Condition> =
        template_conditions(report, it, context).into_iter().filter(|condition| condition.blocking).collect();
    let first = blocking.first().map(|condition| &condition.text);
    let mut warnings = own_conditions(it, clock);
    warnings.retain(|condition| condition.health > Health::Ok && Some(&condition.text) != first);
    TemplateStatus {
        name: it.config.name.to_string(),
        dest: it.config.dest.display().to_string(),
        rendered_at: it.rendered.map(|at| clock.time(at)),
        owed_reload: pending.is_some(),
        reload: pending.map(|(command, it)| reload(command, it, clock)),
        last_error: error.map(|why| mask_credentials(why).into_owned()),
        state: match blocking.iter().map(|condition| condition.health).max() {
            None => TemplateState::UpToDate,
            Some(Health::Ok) => TemplateState::Updating,
            Some(_) => TemplateState::NotUpToDate,
        },
        waiting_for: blocking.first().map(|condition| mask_credentials(&condition.text).into_owned()),
        pinned: it.pin.as_ref().map(|pin| PinnedStatus {
            generation: pin.generation,
            since: clock.time(pin.since),
            uid: pin.uid,
            reason: pin.reason.clone(),
            withheld: pin.withheld,
        }),
        drifted_since: it.drift.as_ref().map(|drift| clock.time(drift.since)),
        left_out: it.isolated.iter().map(|it| left_out(it, clock)).collect(),
        warnings: warnings.iter().map(|condition| mask_credentials(&condition.text).into_owned()).collect(),
    }
}
