//! What is wrong, and how serious it is: for `status`, and for monitoring plugins (`status --check`).

use serde::{Deserialize, Serialize};

use super::conditions::{
    Condition, Health, key_conditions, own_conditions, refused, reload_condition, roster_conditions,
};
use super::context::Context;
use super::services;
use super::words::field;
use crate::decide::report::{ProgramState, ReloadReport, Report, TemplateReport};
use crate::log::{cut, plain};
use crate::payload::mask_credentials;

/// The maximum length in bytes of a problem.
const MAX_PROBLEM: usize = 500;

/// The health of the agent.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthStatus {
    /// The most serious of all problems.
    pub state: Health,
    /// Each problem on one line, the most serious first.
    pub problems: Vec<String>,
}

impl HealthStatus {
    /// The health of everything in a report.
    pub fn new(report: &Report, context: &Context) -> Self {
        let mut problems: Vec<(Health, String)> = all(report, context)
            .into_iter()
            .filter(|(_, condition)| condition.health > Health::Ok)
            .map(|(subject, condition)| (condition.health, problem(subject, &condition.text)))
            .collect();
        // Stable: equally serious problems keep their order.
        problems.sort_by_key(|(health, _)| std::cmp::Reverse(*health));
        let state = problems.first().map(|(health, _)| *health).unwrap_or_default();
        Self { state, problems: problems.into_iter().map(|(_, text)| text).collect() }
    }
}

/// Why not every file is up to date, with its software: one line for each reason, in the words of `explain`. Empty if all
/// is rendered, and nothing is pending, stale, held, paused or refused. Services do not count.
pub fn not_ready(report: &Report, context: &Context) -> Vec<String> {
    let is_reason = |condition: &Condition| condition.blocking && condition.health > Health::Ok;
    let mut all: Vec<String> = context.refused.iter().map(|it| problem(None, &refused(it, context).text)).collect();
    let others = whole(report, context).into_iter().map(|condition| (None, condition));
    let others = others.chain(of_files(report, context)).filter(|(_, condition)| is_reason(condition));
    all.extend(others.map(|(subject, condition)| problem(subject, &condition.text)));
    all.extend(reloads(report, context).into_iter().map(|(subject, condition)| problem(subject, &condition.text)));
    all
}

/// Every condition, with the subject if its text does not name it.
fn all(report: &Report, context: &Context) -> Vec<(Option<String>, Condition)> {
    let clock = &context.clock(report);
    let mut all: Vec<(Option<String>, Condition)> = Vec::new();
    let general = context.refused.iter().map(|it| refused(it, context)).chain(whole(report, context));
    all.extend(general.map(|condition| (None, condition)));
    all.extend(of_files(report, context));
    for it in &context.services {
        all.push((Some(format!("service {}", it.name)), services::condition(it, clock)));
    }
    all.extend(reloads(report, context));
    all
}

/// The conditions of rosters, keys and templates.
fn of_files(report: &Report, context: &Context) -> Vec<(Option<String>, Condition)> {
    let clock = &context.clock(report);
    let mut all: Vec<(Option<String>, Condition)> = Vec::new();
    let rosters = report.rosters.values().flat_map(|it| roster_conditions(report, it, clock));
    let keys = report.keys.values().flat_map(|it| key_conditions(report, it, clock));
    all.extend(rosters.chain(keys).map(|condition| (None, condition)));
    for (name, it) in &report.templates {
        let mut own = own_conditions(it, clock);
        if own.is_empty() && is_new(it) {
            own.push(Condition { text: "not rendered yet".to_owned(), blocking: true, health: Health::Warning });
        }
        all.extend(own.into_iter().map(|condition| (Some(format!("template {name}")), condition)));
    }
    all
}

/// The conditions of the pending reloads.
fn reloads(report: &Report, context: &Context) -> Vec<(Option<String>, Condition)> {
    let clock = &context.clock(report);
    let names = |it: &ReloadReport| it.templates.iter().map(|name| &**name).collect::<Vec<_>>().join(", ");
    report.reloads.iter().map(|(command, it)| (Some(names(it)), reload_condition(command, it, clock))).collect()
}

/// Whether the file of a template is not known to be up to date since the start.
fn is_new(it: &TemplateReport) -> bool {
    it.rendered.is_none() && !it.removing && it.config.pattern().is_none()
}

/// The conditions of the agent as a whole.
fn whole(report: &Report, context: &Context) -> Vec<Condition> {
    let clock = &context.clock(report);
    let mut all = Vec::new();
    let mut add = |health, text: String| all.push(Condition { text, blocking: true, health });
    if let Some(program) = &context.program {
        match &program.state {
            ProgramState::Backoff(until) => {
                let ended = program.last_end.as_ref().map(|(end, _)| format!(": {end}")).unwrap_or_default();
                add(Health::Critical, format!("program stopped{ended}; next start {}", clock.due(*until)));
            }
            ProgramState::Waiting => {
                add(Health::Warning, "program not started: it is waiting for its files".to_owned());
            }
            _ => {}
        }
    }
    if let Some(until) = report.paused_until {
        add(Health::Warning, format!("paused until {}", clock.due(until)));
    }
    for (name, it) in &report.registries {
        if let (false, Some(why)) = (it.reached, &it.error) {
            add(Health::Warning, format!("registry {name} is unreachable: {}", field(why)));
        }
    }
    all
}

/// A problem on one line.
fn problem(subject: Option<String>, text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let subject = subject.map(|subject| format!("{subject}: ")).unwrap_or_default();
    cut(&mask_credentials(&plain(&format!("{subject}{}", lines.join(" ")))), MAX_PROBLEM).into_owned()
}
