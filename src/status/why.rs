//! Why a template's file is as it is: everything that keeps it from showing what the registry does, each by its name.

use super::words::{ahead, field, release};
use super::{About, Clock, owed};
use crate::config::OnDrift;
use crate::decide::debt::Debt;
use crate::decide::key::Key;
use crate::decide::roster::Roster;
use crate::decide::template::Template;
use crate::decide::{Engine, Stage};

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// In words; the end of a command's output may follow on lines of its own.
    pub text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The file does not show what the registry does, or the software does not know the file.
    Keeps,
    /// A fact that goes with it.
    Beside,
}

impl Why {
    fn keeps_back(text: String) -> Self {
        Self { text, kind: Kind::Keeps }
    }

    fn beside(text: String) -> Self {
        Self { text, kind: Kind::Beside }
    }

    /// Whether it keeps the file, or the software, from being up to date.
    pub fn keeps(&self) -> bool {
        self.kind == Kind::Keeps
    }
}

/// All that there is to say of a template, the most telling first. Never empty.
pub fn of_template(engine: &Engine, template: &Template, about: &About) -> Vec<Why> {
    let clock = &about.clock;
    let name = &template.plan().config.name;
    let mut all = Vec::new();
    if template.is_in_flight() {
        all.push(Why::keeps_back("it is being rendered, checked and replaced now".to_owned()));
    }
    all.extend(paused(engine, template, about));
    all.extend(failure(template, clock));
    all.extend(drift(template, clock));
    all.extend(left_out(template, clock));
    all.extend(of_file(engine, template, clock));
    let whole = template.plan().config.pattern().is_some();
    let rosters = engine.rosters().iter();
    let rosters =
        rosters.filter(|(name, _)| if whole { template.leans_on(name, true) } else { template.needs(name, true) });
    all.extend(rosters.flat_map(|(_, roster)| of_roster(engine, roster, clock)));
    let keys = engine.keys().iter().filter(|(name, _)| template.needs(name, false));
    all.extend(keys.flat_map(|(_, key)| of_key(engine, key, clock)));
    all.extend(mates(engine, template));
    if all.is_empty() && template.is_wanted() {
        all.push(Why::keeps_back(format!("{name} is to be rendered as soon as its destination is free")));
    }
    all.extend(owed(engine, template).map(|(reload, debt)| of_debt(&reload.to_string(), debt, clock)));
    if !all.iter().any(Why::keeps) {
        let at = template.rendered().map(|at| format!(": rendered at {}", clock.time(at))).unwrap_or_default();
        all.insert(0, Why::beside(format!("up to date{at}")));
    }
    all
}

/// What there is to say of the key whose file it is.
fn of_file(engine: &Engine, template: &Template, clock: &Clock) -> Option<Why> {
    let (each, key) = template.plan().config.file_of()?;
    let roster = engine.rosters().get(&each.roster)?;
    if template.is_going() {
        let key = field(key);
        return Some(Why::keeps_back(format!("{key} is gone from {}, and its file is to be removed", each.roster)));
    }
    let path = roster.config().subject.members_of(key).to_string();
    if !roster.is_reached() {
        let why = away(engine, &roster.config().registry);
        return Some(Why::keeps_back(format!("{} is as it was last read: {why}", field(&path))));
    }
    let holds = roster.holds().into_iter();
    let keys = roster.held_keys();
    let own = |at: &String| *at == path || (keys.contains(key) && *at == roster.config().subject.to_string());
    holds
        .filter(|(at, _)| own(at))
        .map(|(at, hold)| {
            let (since, ends) = (clock.time(hold.since), release(&hold.reason, clock));
            let reason = field(&hold.reason.describe(&at));
            Why::keeps_back(format!(
                "{} holds since {since}, the last good members stand: {reason}; it {ends}",
                each.roster
            ))
        })
        .next()
}

/// Which templates of its unit it waits for, because they lack a good view.
fn mates(engine: &Engine, template: &Template) -> Vec<Why> {
    let config = &template.plan().config;
    let Some(unit) = config.unit.as_ref().filter(|_| template.is_wanted()) else { return Vec::new() };
    let lacking = engine.mates(template).filter_map(|mate| {
        let (name, missing) = (&mate.plan().config.name, mate.missing(engine.rosters(), engine.keys()));
        (*name != config.name && !missing.is_empty()).then(|| (name, missing.join(", ")))
    });
    let words = |(name, missing)| {
        format!("kept back: the unit {unit} goes as a whole, and {name} of it has no good view yet of {missing}")
    };
    lacking.map(|it| Why::keeps_back(words(it))).collect()
}

fn paused(engine: &Engine, template: &Template, about: &About) -> Option<Why> {
    let until = about.clock.time(engine.paused()?);
    let who = about.pause.as_ref().map(|pause| {
        let reason = pause.reason.as_deref().map(|reason| format!(": {}", field(reason))).unwrap_or_default();
        format!(", by user {}{reason}", pause.uid)
    });
    let text =
        format!("nothing is replaced: paused until {until}{}; `rosterd resume` ends it", who.unwrap_or_default());
    Some(if template.is_wanted() { Why::keeps_back(text) } else { Why::beside(text) })
}

fn failure(template: &Template, clock: &Clock) -> Option<Why> {
    let failure = template.failure()?;
    let stage = match failure.stage {
        Stage::Render => "cannot render",
        Stage::Write | Stage::Changed => "cannot write",
        Stage::Check | Stage::Refused => "the check failed",
        Stage::Unit => "kept back",
        Stage::Rollback => "rolled back, for its reload failed",
    };
    let times = match template.failures() {
        0 | 1 => String::new(),
        more => format!(", {more} times in a row"),
    };
    let again = match template.retry() {
        _ if template.is_searching() => "the members at fault are looked for".to_owned(),
        _ if template.is_in_flight() => "tried again now".to_owned(),
        Some(due) => format!("tried again at {} ({})", clock.time(due), ahead(due.since(clock.now))),
        None if failure.stage == Stage::Unit => "tried again when that one is".to_owned(),
        None if failure.stage == Stage::Rollback => {
            let name = &template.plan().config.name;
            format!("tried again when members, the template or its configuration change, or by `rosterd render {name}`")
        }
        None => "tried again when members, the template or the configuration change".to_owned(),
    };
    Some(Why::keeps_back(format!("{stage}{times}, {again}: {}", failure.message)))
}

/// What somebody else made of its file.
fn drift(template: &Template, clock: &Clock) -> Option<Why> {
    let drift = template.drift()?;
    let since = clock.time(drift.since);
    let next = match (template.plan().config.on_drift, drift.waits) {
        (OnDrift::Correct, None) => "it is to be put right".to_owned(),
        (OnDrift::Correct, Some((times, due))) => format!(
            "it was put right {times} times of late, is another tool writing it? and is again at {} ({})",
            clock.time(due),
            ahead(due.since(clock.now))
        ),
        (OnDrift::Report, _) => "left so until the file changes for another reason (on_drift)".to_owned(),
    };
    Some(Why::keeps_back(format!("changed by somebody else, drifted since {since}, {next}: {}", drift.what)))
}

/// The members that its check refuses.
fn left_out(template: &Template, clock: &Clock) -> impl Iterator<Item = Why> {
    template.left_out().iter().map(|(spot, out)| {
        let spot = field(&spot.to_string());
        let next = match out.again.map(|again| again.max(clock.now)) {
            Some(again) => format!(
                "is tried again when it changes, or at {} ({})",
                clock.time(again),
                ahead(again.since(clock.now))
            ),
            None => "is tried again when it changes, or another template of its unit takes it back".to_owned(),
        };
        Why::keeps_back(format!("{spot} is left out, because the check refuses it, and {next}: {}", out.why))
    })
}

/// What there is to say of a roster that a template needs.
pub(super) fn of_roster(engine: &Engine, roster: &Roster, clock: &Clock) -> Vec<Why> {
    let config = roster.config();
    let name = &config.name;
    let mut all = Vec::new();
    if !roster.is_reached() {
        let why = away(engine, &config.registry);
        all.push(Why::keeps_back(match (roster.value(), roster.age(clock.now)) {
            (Some(_), Some(age)) => {
                let age = humantime::format_duration(std::time::Duration::from_secs(age.as_secs()));
                format!("{name} is as it was {age} ago: {why}")
            }
            _ => format!("{name} has no good view yet: {why}"),
        }));
    }
    if roster.is_held() {
        let standing_in = roster.value().map_or("nothing is rendered from it yet", |_| "the last good members stand");
        for (path, hold) in roster.holds() {
            let (since, ends) = (clock.time(hold.since), release(&hold.reason, clock));
            let reason = field(&hold.reason.describe(&path));
            all.push(Why::keeps_back(format!("{name} holds since {since}, {standing_in}: {reason}; it {ends}")));
        }
    } else {
        let left_out = roster.holds();
        if let Some((path, hold)) = left_out.first() {
            let (count, reason) = (left_out.len(), field(&hold.reason.describe(path)));
            all.push(Why::beside(format!(
                "{count} keys of {name} are left out until they have had enough members: {reason}"
            )));
        }
    }
    if let Some(due) = roster.settles().filter(|_| roster.is_reached()) {
        all.push(Why::keeps_back(format!("changes of {name} settle until {} (wait)", clock.time(due))));
    }
    match roster.apart().filter(|(_, why)| why.is_some()).count() {
        0 => {}
        failed => all.push(Why::beside(format!(
            "{failed} members of {name} are left out because where cannot be asked of them: see `rosterd explain {name}`"
        ))),
    }
    match roster.unfit().count() {
        0 => {}
        unfit => all
            .push(Why::beside(format!("{unfit} nodes of {name} are left out as unfit: see `rosterd explain {name}`"))),
    }
    all
}

/// What there is to say of a key that a template needs.
pub(super) fn of_key(engine: &Engine, key: &Key, clock: &Clock) -> Vec<Why> {
    let config = key.config();
    let name = &config.name;
    let mut all = Vec::new();
    if !engine.is_reached(&config.registry) {
        let why = away(engine, &config.registry);
        let state = if key.value().is_some() { "is as it was last read" } else { "has not been read yet" };
        all.push(Why::keeps_back(format!("{name} {state}: {why}")));
    }
    if let Some(hold) = key.hold() {
        let (since, ends) = (clock.time(hold.since), release(&hold.reason, clock));
        let reason = field(&hold.reason.describe(&config.path));
        all.push(Why::keeps_back(format!("{name} holds since {since}: {reason}; it {ends}")));
    }
    all
}

fn away(engine: &Engine, registry: &std::sync::Arc<str>) -> String {
    match engine.away().get(registry) {
        Some(why) => format!("the registry {registry} is not reached ({})", field(why)),
        None => format!("the registry {registry} has not been read yet"),
    }
}

fn of_debt(reload: &str, debt: &Debt, clock: &Clock) -> Why {
    let reload = field(reload);
    let failed = match debt.failures() {
        0 => String::new(),
        times => format!(", failed {times} times"),
    };
    let when = if debt.is_running() {
        "runs now".to_owned()
    } else if debt.is_given_up() {
        "was given up (reload_retries): a new file, or the agent's start, tries it again".to_owned()
    } else if debt.is_waiting() {
        "waits for the other files that changed together with this one".to_owned()
    } else if let Some(due) = debt.due() {
        let due = due.max(clock.now);
        let limit = match debt.failures() {
            0 if debt.is_splayed() => " (splay)",
            0 => " (reload_interval)",
            _ => "",
        };
        format!("runs at {} ({}){limit}", clock.time(due), ahead(due.since(clock.now)))
    } else {
        "runs next".to_owned()
    };
    let why = debt.last_error().map(|why| format!(": {why}")).unwrap_or_default();
    Why::keeps_back(format!("the reload `{reload}` is owed{failed}, {when}{why}"))
}
