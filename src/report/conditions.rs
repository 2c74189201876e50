//! Conditions: the reasons why a file, roster or key is not up to date, and other facts about it.

use serde::{Deserialize, Serialize};

use super::context::{Clock, Context, Part, Refusal};
use super::words::{self, field, held};
use crate::config::{KeyFormat, OnDrift, Reload};
use crate::decide::report::{
    Freshness, HoldReport, IsolatedReport, KeyReport, LockReport, Reason, ReloadReport, ReloadState, Report, Retry,
    RosterReport, Stage, TemplateReport, plural,
};
use crate::text::command::rosterd;
use crate::text::one_line;
use crate::text::time::{past, rough};

/// The most members that a condition names.
const MAX_NAMES: usize = 10;

/// How serious something is, as monitoring plugins tell it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Normal operation.
    #[default]
    Ok,
    /// A person should look at it. Every file shows known-good members.
    Warning,
    /// A file, or the software that reads it, cannot be brought up to date.
    Critical,
}

/// One condition of a template, roster or key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The description. Further lines have the end of a command's output.
    pub text: String,
    /// Whether the file, or the software that reads it, is not up to date because of it.
    pub blocking: bool,
    /// How serious it is.
    pub health: Health,
}

impl Condition {
    fn blocking(health: Health, text: String) -> Self {
        Self { text, blocking: true, health }
    }

    fn info(health: Health, text: String) -> Self {
        Self { text, blocking: false, health }
    }
}

/// The condition that a load was refused.
pub fn refused(it: &Refusal, context: &Context) -> Condition {
    let (what, used, then) = match it.part {
        Part::Configuration => ("configuration", "the previous one is in use", ", then send HUP"),
        Part::Templates => ("templates", "the previous ones are in use", ""),
    };
    let at = past(it.since, context.wall, &context.zone);
    let place = it.place.as_deref().map(|place| format!("{}: ", field(place))).unwrap_or_default();
    let more =
        if it.problems > 1 { format!(" (and {})", plural(it.problems - 1, "more problem")) } else { String::new() };
    let text = format!(
        "{what} rejected at {at}: {place}{}{more}; {used}; run `{}`{then}",
        field(&it.reason),
        rosterd(&["check"])
    );
    Condition::info(Health::Warning, text)
}

/// The conditions of a template, the most important first. Never empty.
pub fn template_conditions(report: &Report, template: &TemplateReport, context: &Context) -> Vec<Condition> {
    let clock = &context.clock(report);
    let config = &template.config;
    let mut all: Vec<Condition> = paused(report, template, context).into_iter().collect();
    all.extend(own_conditions(template, clock));
    all.extend(key_file_condition(report, template, clock));
    let rosters = template.rosters.iter().filter_map(|name| report.rosters.get(name));
    all.extend(rosters.flat_map(|roster| roster_conditions(report, roster, clock)));
    let keys = template.keys.iter().filter_map(|name| report.keys.get(name));
    all.extend(keys.flat_map(|key| key_conditions(report, key, clock)));
    for (unit, (other, missing)) in
        config.unit.iter().flat_map(|unit| template.waiting_for.iter().map(move |it| (unit, it)))
    {
        let missing = missing.join(", ");
        let text = format!("blocked by unit {unit}: template {other} is waiting for {missing}");
        all.push(Condition::blocking(Health::Warning, text));
    }
    all.extend(blocked_by_pin(report, template));
    if all.is_empty() && template.queued {
        let text = "queued: will be rendered as soon as its destination is free".to_owned();
        all.push(Condition::blocking(Health::Ok, text));
    }
    all.extend(report.reload_of(&config.name).map(|(command, reload)| reload_condition(command, reload, clock)));
    if !all.iter().any(|condition| condition.blocking) {
        let at = template.rendered.map(|at| format!(", rendered at {}", clock.past(at))).unwrap_or_default();
        // Each file of a template with `each` has conditions of its own.
        let text =
            if config.pattern().is_some() { "one file for each key".to_owned() } else { format!("up to date{at}") };
        all.insert(0, Condition::info(Health::Ok, text));
    }
    all
}

/// The conditions of a template that no other template, roster or key has.
pub fn own_conditions(template: &TemplateReport, clock: &Clock) -> Vec<Condition> {
    let mut all = Vec::new();
    if template.in_flight {
        all.push(Condition::blocking(Health::Ok, "being rendered, checked and replaced now".to_owned()));
    }
    all.extend(pinned(template, clock));
    all.extend(failure(template, clock));
    all.extend(drift(template, clock));
    all.extend(template.isolated.iter().map(|it| isolated(it, clock)));
    all.extend(without_port(template));
    all
}

/// Members whose port the template reads, and that have none: it shows them without it, or leaves them out.
fn without_port(template: &TemplateReport) -> Option<Condition> {
    let all = &template.without_port;
    let names: Vec<String> = all.iter().take(MAX_NAMES).map(|it| field(&it.to_string())).collect();
    let more = if all.len() > names.len() { format!(" and {} more", all.len() - names.len()) } else { String::new() };
    let have = if all.len() == 1 { "has" } else { "have" };
    let text =
        format!("{} {have} no port, which the template reads: {}{more}", plural(all.len(), "member"), names.join(", "));
    (!all.is_empty()).then(|| Condition::info(Health::Warning, text))
}

/// Another template of the unit is pinned, and this one is not: their files would contradict each other.
fn blocked_by_pin(report: &Report, template: &TemplateReport) -> Option<Condition> {
    let unit = template.config.unit.as_ref().filter(|_| template.pin.is_none())?;
    let mut others = report.templates.values().filter(|it| it.config.unit.as_ref() == Some(unit));
    let name = &others.find(|it| it.pin.is_some())?.config.name;
    let end = rosterd(&["resume", name]);
    let text = format!("blocked by unit {unit}: template {name} is pinned; `{end}` ends the pin");
    Some(Condition::blocking(Health::Warning, text))
}

/// The condition of the key that the file of a template with `each` is for.
fn key_file_condition(report: &Report, template: &TemplateReport, clock: &Clock) -> Option<Condition> {
    let (each, key) = template.config.file_of()?;
    let roster = report.rosters.get(&each.roster)?;
    if template.removing {
        let key = field(key);
        let text = format!("key {key} is gone from {}: its file will be removed", each.roster);
        return Some(Condition::blocking(Health::Ok, text));
    }
    let path = roster.config.subject.members_of(key).to_string();
    if !roster.reached {
        let name = field(&path);
        return Some(stale(report, (&name, "members"), true, roster.freshness, &roster.config.registry));
    }
    let whole = roster.config.subject.to_string();
    let own = |it: &&HoldReport| it.path == path || (roster.kept_keys.contains(key) && it.path == whole);
    roster.holds.iter().find(own).map(|it| hold_condition(&each.roster, it, clock))
}

fn hold_condition(roster: &str, it: &HoldReport, clock: &Clock) -> Condition {
    let noun = if matches!(it.hold.reason, Reason::KeysGone { .. }) { "key" } else { "member" };
    let kept = match it.kept {
        None => "no known-good members yet".to_owned(),
        Some(1) => format!("keeping the last known-good {noun}"),
        Some(count) => format!("keeping the last {count} known-good {noun}s"),
    };
    let health = if it.kept.is_some() { Health::Warning } else { Health::Critical };
    Condition::blocking(health, held(roster, &it.path, &it.hold, &kept, clock))
}

fn paused(report: &Report, template: &TemplateReport, context: &Context) -> Option<Condition> {
    let until = context.clock(report).due(report.paused_until?);
    let who = context.pause.as_ref().map(|pause| {
        let reason = pause.reason.as_deref().map(|reason| format!(": {}", field(reason))).unwrap_or_default();
        format!(" by uid {}{reason}", pause.uid)
    });
    let text = format!("paused until {until}{}; `{}` ends the pause", who.unwrap_or_default(), rosterd(&["resume"]));
    Some(Condition { text, blocking: template.queued, health: Health::Warning })
}

/// A pin: what it is, and what it withholds.
fn pinned(template: &TemplateReport, clock: &Clock) -> Option<Condition> {
    let pin = template.pin.as_ref()?;
    let (generation, since, name) = (pin.generation, clock.past(pin.since), &template.config.name);
    let reason = pin.reason.as_deref().map(|reason| format!(": {}", field(reason))).unwrap_or_default();
    let withheld = match pin.withheld {
        0 => "the file keeps that content".to_owned(),
        count => {
            let changes = plural(usize::try_from(count).unwrap_or(usize::MAX), "change");
            format!("the file keeps that content, without {changes} since then")
        }
    };
    let uid = pin.uid;
    let (diff, resume) = (rosterd(&["diff", name]), rosterd(&["resume", name]));
    let end = format!("`{resume}` ends the pin and writes the current content, which `{diff}` shows");
    let text = format!("pinned to generation {generation} since {since} by uid {uid}{reason}; {withheld}; {end}");
    Some(Condition::blocking(Health::Warning, text))
}

fn failure(template: &TemplateReport, clock: &Clock) -> Option<Condition> {
    let it = template.failure.as_ref()?;
    let stage = it.failure.stage;
    let times = if it.times > 1 { format!(" {} times in a row", it.times) } else { String::new() };
    let change = "the members, the template or the configuration changes";
    let retry = match it.retry {
        Retry::AfterSearch => "searching for the members at fault".to_owned(),
        Retry::Now => "retrying now".to_owned(),
        Retry::At(due) => format!("retry at {}", clock.due(due)),
        Retry::OnChange if stage == Stage::Unit => "will be retried with the whole unit".to_owned(),
        Retry::OnChange if stage == Stage::Rollback => {
            format!("will be retried when {change}, or by `{}`", rosterd(&["render", &template.config.name]))
        }
        Retry::OnChange => format!("will be retried when {change}"),
    };
    let text = format!("{}{times}; {retry}: {}", stage.describe(), it.failure.message);
    Some(Condition::blocking(Health::Critical, text))
}

/// A change of the destination by another process.
fn drift(template: &TemplateReport, clock: &Clock) -> Option<Condition> {
    let drift = template.drift.as_ref()?;
    let seen = clock.past(drift.since);
    let next = match (template.config.on_drift, drift.disputed) {
        (OnDrift::Correct, None) => "will be overwritten".to_owned(),
        (OnDrift::Correct, Some((times, due))) => {
            format!(
                "corrected {times} times recently, next correction at {}; is another tool managing it?",
                clock.due(due)
            )
        }
        (OnDrift::Report, _) => "left as it is until the rendered content changes (`on_drift`)".to_owned(),
    };
    let text = format!("changed by another process, detected at {seen}: {}; {next}", drift.what);
    Some(Condition::blocking(Health::Warning, text))
}

/// A member that is left out of the file.
fn isolated(it: &IsolatedReport, clock: &Clock) -> Condition {
    let member = field(&it.member.to_string());
    let next = match it.retry {
        Some(due) => format!("at {}", clock.due(due)),
        None => "when another template of its unit is retried".to_owned(),
    };
    let (what, why) = (it.failure.with_member(), &it.failure.message);
    let text = format!("{member} is isolated: {what} (retried when the member changes, or {next}): {why}");
    Condition::blocking(Health::Warning, text)
}

/// The conditions of a roster.
pub fn roster_conditions(report: &Report, roster: &RosterReport, clock: &Clock) -> Vec<Condition> {
    let name = &roster.config.name;
    let mut all = Vec::new();
    if !roster.reached {
        let known = roster.value.is_some();
        all.push(stale(report, (name, "members"), known, roster.freshness, &roster.config.registry));
    }
    if roster.held {
        all.extend(roster.holds.iter().map(|it| hold_condition(name, it, clock)));
    } else if let Some(first) = roster.holds.first() {
        let (keys, reason) = (plural(roster.holds.len(), "key"), field(&first.hold.reason.describe(&first.path)));
        let text = format!("{keys} of {name} omitted (not enough members yet): {reason}");
        all.push(Condition::info(Health::Ok, text));
    }
    if let Some(due) = roster.settles {
        let text = format!("waiting until {} for changes to {name} to settle (wait)", clock.due(due));
        all.push(Condition::blocking(Health::Ok, text));
    }
    let failed = roster.filtered.iter().filter(|(_, error)| error.is_some()).count();
    for (count, what) in [
        (failed, "excluded because `where` failed"),
        (roster.quarantined.len(), "quarantined"),
        (roster.data_errors.len(), "used without data, which is not JSON"),
    ] {
        if count > 0 {
            let nodes = plural(count, "node");
            let text = format!("{name}: {nodes} {what}; details: {}", rosterd(&["explain", name]));
            all.push(Condition::info(Health::Warning, text));
        }
    }
    all
}

/// The conditions of a key.
pub fn key_conditions(report: &Report, key: &KeyReport, clock: &Clock) -> Vec<Condition> {
    let name = &key.config.name;
    let mut all = Vec::new();
    if !report.registries.get(&key.config.registry).is_some_and(|it| it.reached) {
        all.push(stale(report, (name, "data"), key.known, key.freshness, &key.config.registry));
    }
    if let Some(hold) = &key.hold {
        let kept = if key.known { "keeping the last known-good data" } else { "no known-good data yet" };
        let health = if key.known { Health::Warning } else { Health::Critical };
        all.push(Condition::blocking(health, held(name, &key.config.subject.to_string(), hold, kept, clock)));
    }
    let (kind, plain) = words::key(name);
    let title = format!("{kind} {plain}");
    match &key.lock {
        None if key.config.format != KeyFormat::Lock || !all.is_empty() => {}
        None => {
            all.push(Condition::blocking(Health::Warning, format!("{title}: its place in the line is not known yet")));
        }
        Some(lock) => all.push(Condition::info(Health::Ok, format!("{title}: {}", lock_state(lock, clock)))),
    }
    all
}

/// `held since …`, or the place in the line and who holds the lock.
pub fn lock_state(it: &LockReport, clock: &Clock) -> String {
    if it.is_held {
        return format!("held since {}", clock.past(it.since));
    }
    let place = match it.position {
        Some(position) => format!("waiting, {} of {}", ordinal(position), it.contenders),
        None => "not in the line".to_owned(),
    };
    match &it.holder {
        Some(holder) => format!("{place}; {} holds", field(holder)),
        None => place,
    }
}

/// `1st`, `2nd`, `3rd`, `4th`, `11th`.
fn ordinal(number: usize) -> String {
    let suffix = match (number % 10, number % 100) {
        (1, 1..=10 | 14..) => "st",
        (2, 1..=10 | 14..) => "nd",
        (3, 1..=10 | 14..) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// Data in use while its registry is unreachable.
fn stale(report: &Report, (name, noun): (&str, &str), known: bool, freshness: Freshness, registry: &str) -> Condition {
    let (why, is_new) = match report.registries.get(registry).and_then(|it| it.error.as_ref()) {
        Some(why) => (format!("registry {registry} is unreachable ({})", field(why)), false),
        None => (format!("registry {registry} has not been read yet"), true),
    };
    let age = freshness.age(report.now).map_or_else(|| "an unknown time".to_owned(), rough);
    let text = if !known {
        format!("{name} has no known-good {noun} yet: {why}")
    } else if freshness.is_saved() {
        format!("using the last known-good {noun} of {name}, read {age} ago: {why}")
    } else {
        format!("{name} is stale, read {age} ago: {why}")
    };
    // It may take a moment until a registry has been read for the first time.
    Condition::blocking(if known || is_new { Health::Warning } else { Health::Critical }, text)
}

/// The condition of a pending reload. One that has not failed only waits for its time: nothing is wrong.
pub fn reload_condition(command: &Reload, it: &ReloadReport, clock: &Clock) -> Condition {
    let command = field(&one_line(&command.to_string()));
    let failed = match it.failures {
        0 => String::new(),
        1 => ", failed once".to_owned(),
        times => format!(", failed {times} times"),
    };
    let when = match it.state {
        ReloadState::Running => "running now".to_owned(),
        ReloadState::GivenUp => {
            "retries exhausted (reload_retries); runs again when its files change or the agent restarts".to_owned()
        }
        ReloadState::AwaitingFiles => "waiting for the other files that changed together with this one".to_owned(),
        ReloadState::Due { at, splayed } => {
            let limit = match it.failures {
                0 if splayed => ", delayed by `splay`",
                0 => ", delayed by `reload_interval`",
                _ => "",
            };
            format!("{} at {}{limit}", if it.failures == 0 { "runs" } else { "retry" }, clock.due(at))
        }
    };
    let why = it.last_error.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let text = format!("reload pending: `{command}`{failed}; {when}{why}");
    if it.failures == 0 { Condition::info(Health::Ok, text) } else { Condition::blocking(Health::Critical, text) }
}
