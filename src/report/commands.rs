//! The commands that help with a problem.

use super::context::Context;
use super::health::Subject;
use crate::decide::report::Report;
use crate::text::command::rosterd;
use crate::text::single_quoted;

/// The commands for a problem with this subject, the one to run first first.
pub fn commands(subject: &Subject, report: &Report, context: &Context) -> Vec<String> {
    let on = |command: &str, name: &str| rosterd(&[command, name]);
    match subject {
        Subject::Load => vec![rosterd(&["check"])],
        Subject::Program => vec![rosterd(&["status"])],
        Subject::Registry(name) => {
            // Other registries may need credentials or certificates of the configuration.
            let url = report.registries.get(name).map(|it| &it.url);
            let url = url.filter(|url| url.starts_with("zk://") || url.starts_with("dir:"));
            let ls = url.map(|url| format!("rosterd ls --registry {} /", single_quoted(url)));
            vec![ls.unwrap_or_else(|| rosterd(&["status"]))]
        }
        Subject::Pause => vec![rosterd(&["resume"])],
        // For a roster it names `accept` where that is possible, beside what would be lost: to accept is no routine.
        Subject::Key(name) | Subject::Roster(name) => vec![on("explain", name)],
        Subject::Template(name) => {
            let second = match report.templates.get(name) {
                Some(it) if it.drift.is_some() => on("render", name),
                _ => on("diff", name),
            };
            vec![on("explain", name), second]
        }
        Subject::Service(name) => {
            let is_drained = context.services.iter().any(|it| it.name == *name && it.drain.is_some());
            vec![on(if is_drained { "undrain" } else { "explain" }, name)]
        }
        Subject::Reload(names) => names.first().map(|name| on("explain", name)).into_iter().collect(),
    }
}
