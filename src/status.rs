//! What the agent knows and does, as a person or a program may ask for it: made of the engine's state alone, so that
//! every way of telling it says the same.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::decide::debt::Debt;
use crate::decide::isolate::{LeftOut, Spot};
use crate::decide::key::Key;
use crate::decide::roster::Roster;
use crate::decide::template::Template;
use crate::decide::{Engine, Moment, RosterValue};
use crate::pause::Pause;
use crate::payload::masked;

mod explain;
mod program;
mod why;
mod words;

pub use explain::{explain, names};
pub use program::ProgramStatus;
pub use words::field;

use why::{Why, of_template};

/// The wall clock beside the engine's, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Now, as the engine counts.
    pub now: Moment,
    /// Now, as everybody else does.
    pub wall: SystemTime,
}

impl Clock {
    /// A moment as RFC 3339 in UTC, to the second.
    pub fn time(&self, moment: Moment) -> String {
        let ahead = moment.since(self.now);
        let behind = self.now.since(moment);
        let wall = self.wall.checked_add(ahead).and_then(|wall| wall.checked_sub(behind)).unwrap_or(self.wall);
        utc(wall)
    }
}

/// A time as RFC 3339 in UTC, to the second.
pub fn utc(time: SystemTime) -> String {
    // What lies before 1970 or after 9999 cannot be written so.
    let year_9999 = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(time.clamp(SystemTime::UNIX_EPOCH, year_9999)).to_string()
}

/// What the engine does not know of itself.
#[derive(Debug, Clone)]
pub struct About {
    /// What time it is.
    pub clock: Clock,
    /// The pause in force, if there is one.
    pub pause: Option<Pause>,
    /// How it is with the program that the agent runs, if there is one.
    pub program: Option<ProgramStatus>,
}

/// All that `status --json` shows. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it was started.
    pub started: String,
    /// The pause in force.
    pub paused: Option<PausedStatus>,
    /// The program that the agent runs; null without one.
    pub program: Option<ProgramStatus>,
    /// The registries that are followed.
    pub registries: Vec<RegistryStatus>,
    /// Every roster.
    pub rosters: Vec<RosterStatus>,
    /// Every `[[key]]`.
    pub keys: Vec<KeyStatus>,
    /// Every template.
    pub templates: Vec<TemplateStatus>,
    /// Local services; none in this version.
    pub services: Vec<serde_json::Value>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PausedStatus {
    /// Since when.
    pub since: String,
    /// When it ends by itself.
    pub until: String,
    /// As it was given.
    pub reason: Option<String>,
    /// The user who asked for it.
    pub uid: u32,
}

/// A registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryStatus {
    /// Its name.
    pub name: String,
    /// Where it is; never with a credential.
    pub url: String,
    /// Whether it answers.
    pub reached: bool,
    /// Why not.
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
    /// How many members templates see; of all keys together where the path has a `*`.
    pub members: usize,
    /// What the nodes are read by: as configured, or as `auto` has chosen; where the keys differ in that, each once.
    pub payload: String,
    /// How old the view is: 0 while it is up to date, null before the first.
    pub view_age_s: Option<u64>,
    /// Whether the registry is reached and has been read whole since.
    pub fresh: bool,
    /// The hold for which templates see something else than the registry shows; the first of several.
    pub hold: Option<HoldStatus>,
    /// Every hold, with those of keys that are left out because they never had enough members.
    pub holds: Vec<HoldStatus>,
    /// How many nodes are left out as unfit.
    pub quarantined: usize,
    /// How many members `where` leaves out.
    pub filtered: usize,
    /// Of how many of those `where` could not be asked.
    pub filter_errors: usize,
    /// How many nodes name the same host and port as another.
    pub duplicates: usize,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldStatus {
    /// The path that it is about.
    pub path: String,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub since: String,
    /// When it ends by itself; null when it does not.
    pub until: Option<String>,
    /// What would end it.
    pub release: String,
    /// Whether `accept` can end it.
    pub acceptable: bool,
}

/// A `[[key]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStatus {
    /// Its name.
    pub name: String,
    /// Its registry's.
    pub registry: String,
    /// Its path.
    pub path: String,
    /// Whether there is good data.
    pub known: bool,
    /// The hold in force.
    pub hold: Option<HoldStatus>,
}

/// A template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateStatus {
    /// Its name.
    pub name: String,
    /// Its destination.
    pub dest: String,
    /// When the destination was last found, or brought, in step.
    pub rendered_at: Option<String>,
    /// Whether a reload is owed for it.
    pub owed_reload: bool,
    /// The reload that is owed.
    pub reload: Option<ReloadStatus>,
    /// Why the last publication, or else the last reload, failed; null after one that did not.
    pub last_error: Option<String>,
    /// What keeps the destination from showing what the registry does; null when nothing does.
    pub waiting_for: Option<String>,
    /// Since when its destination is not as the agent left it; null while it is.
    #[serde(default)]
    pub drifted_since: Option<String>,
    /// The members that are left out, because its check refuses them.
    #[serde(default)]
    pub left_out: Vec<LeftOutStatus>,
}

/// A member that is left out of one template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutStatus {
    /// The roster.
    pub roster: String,
    /// The key, where the roster's path has a `*`.
    pub key: Option<String>,
    /// The member's name.
    pub member: String,
    /// What the check said, with the end of its output.
    pub why: String,
    /// When it is tried again as it is; null where another template of its unit decides that.
    #[serde(default)]
    pub again: Option<String>,
}

/// An owed reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadStatus {
    /// What is run.
    pub command: String,
    /// How often it has failed in a row.
    pub failures: u32,
    /// When it runs next; null while it runs, waits for other files, or was given up.
    pub next: Option<String>,
    /// Whether it was given up.
    pub given_up: bool,
}

impl Status {
    /// The status of an engine at one moment.
    pub fn of(engine: &Engine, about: &About) -> Self {
        let clock = &about.clock;
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: clock.time(Moment::START),
            paused: about.pause.as_ref().filter(|_| engine.paused().is_some()).map(|pause| PausedStatus {
                since: utc(pause.since),
                until: engine.paused().map_or_else(|| utc(pause.until), |until| clock.time(until)),
                reason: pause.reason.clone(),
                uid: pause.uid,
            }),
            program: about.program.clone(),
            registries: registries(engine),
            rosters: engine.rosters().values().map(|it| roster(it, clock)).collect(),
            keys: engine.keys().values().map(|it| key(it, clock)).collect(),
            templates: engine.templates().values().map(|it| template(engine, it, about)).collect(),
            services: Vec::new(),
        }
    }
}

fn registries(engine: &Engine) -> Vec<RegistryStatus> {
    let registry = |(name, url): (&std::sync::Arc<str>, &std::sync::Arc<str>)| {
        let reached = engine.is_reached(name);
        let unheard = || "it has not answered yet".to_owned();
        RegistryStatus {
            name: name.to_string(),
            url: url.to_string(),
            reached,
            why: (!reached).then(|| engine.away().get(name).cloned().unwrap_or_else(unheard)),
        }
    };
    engine.origins().map(registry).collect()
}

fn hold(path: &str, hold: &crate::decide::hold::Hold, acceptable: bool, clock: &Clock) -> HoldStatus {
    HoldStatus {
        path: path.to_owned(),
        reason: masked(&hold.reason.describe(&path)).into_owned(),
        since: clock.time(hold.since),
        until: hold.reason.until().map(|until| clock.time(until)),
        release: words::release(&hold.reason, clock),
        acceptable,
    }
}

fn roster(roster: &Roster, clock: &Clock) -> RosterStatus {
    let config = roster.config();
    let held: Vec<_> = roster.held().collect();
    let acceptable: BTreeSet<&str> =
        held.iter().filter(|held| held.withheld.is_some()).map(|held| held.path.as_str()).collect();
    let is_acceptable = |path: &String| acceptable.contains(path.as_str());
    let holds: Vec<_> = roster.holds().iter().map(|(path, it)| hold(path, it, is_acceptable(path), clock)).collect();
    // The first that keeps templates from seeing what is there: a key that never had enough members does not.
    let stands_in = held.iter().find(|held| held.good.is_some()).map(|held| held.path.to_string());
    let first = holds.iter().find(|hold| stands_in.as_ref().is_none_or(|path| *path == hold.path));
    RosterStatus {
        name: config.name.to_string(),
        registry: config.registry.to_string(),
        path: config.subject.to_string(),
        members: members(roster),
        payload: payload(roster),
        view_age_s: roster.age(clock.now).map(|age| age.as_secs()),
        fresh: roster.is_fresh(),
        hold: first.filter(|_| roster.is_held()).cloned(),
        holds,
        quarantined: roster.unfit().count(),
        filtered: roster.apart().count(),
        filter_errors: roster.apart().filter(|(_, why)| why.is_some()).count(),
        duplicates: roster.doubles().count(),
    }
}

/// What the nodes of a roster are read by; `auto` while that has chosen nothing.
fn payload(roster: &Roster) -> String {
    let formats: Vec<String> = roster.formats().keys().map(ToString::to_string).collect();
    if formats.is_empty() { roster.config().payload.to_string() } else { formats.join(", ") }
}

/// How many members templates see.
fn members(roster: &Roster) -> usize {
    match roster.value() {
        Some(RosterValue::List(seats)) => seats.len(),
        Some(RosterValue::Map(keys)) => keys.values().map(|seats| seats.len()).sum(),
        None => 0,
    }
}

fn key(key: &Key, clock: &Clock) -> KeyStatus {
    let config = key.config();
    KeyStatus {
        name: config.name.to_string(),
        registry: config.registry.to_string(),
        path: config.path.to_string(),
        known: key.value().is_some(),
        hold: key.hold().map(|held| hold(config.path.as_str(), held, false, clock)),
    }
}

/// The reload that is owed for a template.
fn owed<'a>(engine: &'a Engine, template: &Template) -> Option<(&'a crate::config::Reload, &'a Debt)> {
    engine.debts().iter().find(|(_, debt)| debt.owes(&template.plan().config.name))
}

fn left_out(spot: &Spot, out: &LeftOut, clock: &Clock) -> LeftOutStatus {
    LeftOutStatus {
        roster: spot.roster.to_string(),
        key: spot.key.as_ref().map(ToString::to_string),
        member: spot.member.to_string(),
        why: masked(&out.why).into_owned(),
        again: out.again.map(|again| clock.time(again.max(clock.now))),
    }
}

fn template(engine: &Engine, template: &Template, about: &About) -> TemplateStatus {
    let config = &template.plan().config;
    let owed = owed(engine, template);
    let failed = template.failure().map(|failure| failure.message.as_str());
    let why = of_template(engine, template, about);
    TemplateStatus {
        name: config.name.to_string(),
        dest: config.dest.display().to_string(),
        rendered_at: template.rendered().map(|at| about.clock.time(at)),
        owed_reload: owed.is_some(),
        reload: owed.map(|(reload, debt)| ReloadStatus {
            command: reload.to_string(),
            failures: debt.failures(),
            next: debt.due().map(|due| about.clock.time(due.max(about.clock.now))),
            given_up: debt.is_given_up(),
        }),
        last_error: failed.or_else(|| owed?.1.last_error()).map(|why| masked(why).into_owned()),
        waiting_for: why.into_iter().find(Why::keeps).map(|why| masked(&why.text).into_owned()),
        drifted_since: template.drift().map(|drift| about.clock.time(drift.since)),
        left_out: template.left_out().iter().map(|(spot, out)| left_out(spot, out, &about.clock)).collect(),
    }
}
