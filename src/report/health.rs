//! What is wrong, and how serious it is: for `status`, for the page, and for monitoring plugins (`status --check`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::conditions::{
    Condition, Health, key_conditions, own_conditions, refused, reload_condition, roster_conditions,
};
use super::context::Context;
use super::services;
use super::words::field;
use crate::decide::report::{ProgramState, Report, TemplateReport};
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

/// What a problem is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An edited configuration or template that was rejected.
    Load,
    /// The program that the agent runs.
    Program,
    /// The pause.
    Pause,
    /// A registry.
    Registry(Arc<str>),
    /// A roster.
    Roster(Arc<str>),
    /// A `[[key]]`.
    Key(Arc<str>),
    /// A template.
    Template(Arc<str>),
    /// A service.
    Service(String),
    /// The pending reload of these templates.
    Reload(Vec<Arc<str>>),
}

/// A condition that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is about.
    pub subject: Subject,
    /// The condition.
    pub condition: Condition,
    /// The unreachable registry that it follows from.
    pub follows_from: Option<Arc<str>>,
}

impl Problem {
    fn new(subject: Subject, condition: Condition) -> Self {
        Self { subject, condition, follows_from: None }
    }

    /// The registry, if the problem is that it is unreachable.
    pub fn registry(&self) -> Option<&Arc<str>> {
        if let Subject::Registry(name) = &self.subject { Some(name) } else { None }
    }

    /// What it is about, if the text of the condition does not name it.
    pub fn title(&self) -> Option<String> {
        match &self.subject {
            Subject::Template(name) => Some(format!("template {name}")),
            Subject::Service(name) => Some(format!("service {name}")),
            Subject::Reload(names) => Some(names.join(", ")),
            _ => None,
        }
    }
}

/// Everything that is wrong, the most serious first.
pub fn problems(report: &Report, context: &Context) -> Vec<Problem> {
    let mut problems = all(report, context);
    problems.retain(|it| it.condition.health > Health::Ok);
    // Stable: equally serious problems keep their order.
    problems.sort_by_key(|it| std::cmp::Reverse(it.condition.health));
    problems
}

impl HealthStatus {
    /// The health of everything in a report.
    pub fn new(report: &Report, context: &Context) -> Self {
        let problems = problems(report, context);
        let state = problems.first().map(|it| it.condition.health).unwrap_or_default();
        Self { state, problems: problems.iter().map(on_one_line).collect() }
    }
}

/// Why not every file is up to date, with its software: one line for each reason, in the words of `explain`. Empty if all
/// is rendered, and nothing is pending, stale, held, paused or refused. Services do not count.
pub fn not_ready(report: &Report, context: &Context) -> Vec<String> {
    let is_reason = |it: &Problem| match it.subject {
        Subject::Load | Subject::Reload(_) => true,
        Subject::Service(_) => false,
        _ => it.condition.blocking && it.condition.health > Health::Ok,
    };
    all(report, context).iter().filter(|it| is_reason(it)).map(on_one_line).collect()
}

/// Every condition.
fn all(report: &Report, context: &Context) -> Vec<Problem> {
    let clock = &context.clock(report);
    let refused = context.refused.iter().map(|it| Problem::new(Subject::Load, refused(it, context)));
    let mut all: Vec<Problem> = refused.chain(whole(report, context)).collect();
    for (name, it) in &report.rosters {
        let stale = (!it.reached).then_some(&it.config.registry);
        add_view(&mut all, &Subject::Roster(Arc::clone(name)), roster_conditions(report, it, clock), stale);
    }
    for (name, it) in &report.keys {
        let registry = &it.config.registry;
        let stale = (!report.registries.get(registry).is_some_and(|it| it.reached)).then_some(registry);
        add_view(&mut all, &Subject::Key(Arc::clone(name)), key_conditions(report, it, clock), stale);
    }
    for (name, it) in &report.templates {
        let mut own = own_conditions(it, clock);
        if own.is_empty() && is_new(it) {
            own.push(Condition { text: "not rendered yet".to_owned(), blocking: true, health: Health::Warning });
        }
        all.extend(own.into_iter().map(|condition| Problem::new(Subject::Template(Arc::clone(name)), condition)));
    }
    for it in &context.services {
        all.push(Problem::new(Subject::Service(it.name.clone()), services::condition(it, clock)));
    }
    for (command, it) in &report.reloads {
        let names = it.templates.iter().cloned().collect();
        all.push(Problem::new(Subject::Reload(names), reload_condition(command, it, clock)));
    }
    all
}

/// Adds the conditions of a roster or a key. The first one of a view that is not current is that, with the registry.
fn add_view(all: &mut Vec<Problem>, subject: &Subject, conditions: Vec<Condition>, stale: Option<&Arc<str>>) {
    for (number, condition) in conditions.into_iter().enumerate() {
        let follows_from = stale.filter(|_| number == 0).cloned();
        all.push(Problem { subject: subject.clone(), condition, follows_from });
    }
}

/// Whether the file of a template is not known to be up to date since the start.
fn is_new(it: &TemplateReport) -> bool {
    it.rendered.is_none() && !it.removing && it.config.pattern().is_none()
}

/// The conditions of the agent as a whole.
fn whole(report: &Report, context: &Context) -> Vec<Problem> {
    let clock = &context.clock(report);
    let mut all = Vec::new();
    let mut add =
        |subject, health, text: String| all.push(Problem::new(subject, Condition { text, blocking: true, health }));
    if let Some(program) = &context.program {
        match &program.state {
            ProgramState::Backoff(until) => {
                let ended = program.last_end.as_ref().map(|(end, _)| format!(": {end}")).unwrap_or_default();
                add(
                    Subject::Program,
                    Health::Critical,
                    format!("program stopped{ended}; next start {}", clock.due(*until)),
                );
            }
            ProgramState::Waiting => {
                let text = "program not started: it is waiting for its files".to_owned();
                add(Subject::Program, Health::Warning, text);
            }
            _ => {}
        }
    }
    if let Some(until) = report.paused_until {
        add(Subject::Pause, Health::Warning, format!("paused until {}", clock.due(until)));
    }
    for (name, it) in &report.registries {
        if let (false, Some(why)) = (it.reached, &it.error) {
            let text = format!("registry {name} is unreachable: {}", field(why));
            add(Subject::Registry(Arc::clone(name)), Health::Warning, text);
        }
    }
    all
}

/// A problem on one line.
fn on_one_line(problem: &Problem) -> String {
    let lines: Vec<&str> = problem.condition.text.lines().map(str::trim).collect();
    let title = problem.title().map(|title| format!("{title}: ")).unwrap_or_default();
    cut(&mask_credentials(&plain(&format!("{title}{}", lines.join(" ")))), MAX_PROBLEM).into_owned()
}
