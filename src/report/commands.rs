//! The commands that help with a problem.

use super::context::Context;
use super::health::Subject;
use crate::decide::report::Report;
use crate::text::single_quoted;

/// The commands for a problem with this subject, the one to run first first.
pub fn commands(subject: &Subject, report: &Report, context: &Context) -> Vec<String> {
    let rosterd = |command: &str, name: &str| format!("rosterd {command} {}", single_quoted(name));
    match subject {
        Subject::Load => vec!["rosterd check".to_owned()],
        Subject::Program => vec!["rosterd status".to_owned()],
        Subject::Registry(name) => {
            // Other registries may need credentials or certificates of the configuration.
            let url = report.registries.get(name).map(|it| &it.url);
            let url = url.filter(|url| url.starts_with("zk://") || url.starts_with("dir:"));
            vec![url.map_or("rosterd status".to_owned(), |url| format!("{} /", rosterd("ls --registry", url)))]
        }
        Subject::Pause => vec!["rosterd resume".to_owned()],
        Subject::Key(name) => vec![rosterd("explain", name)],
        Subject::Roster(name) => {
            let holds = report.rosters.get(name).map(|it| &it.holds[..]).unwrap_or_default();
            let accept = holds.iter().any(|it| it.acceptable).then(|| rosterd("accept", name));
            [rosterd("explain", name)].into_iter().chain(accept).collect()
        }
        Subject::Template(name) => {
            let second = match report.templates.get(name) {
                Some(it) if it.drift.is_some() => rosterd("render", name),
                _ => rosterd("diff", name),
            };
            vec![rosterd("explain", name), second]
        }
        Subject::Service(name) => {
            let is_drained = context.services.iter().any(|it| it.name == *name && it.drain.is_some());
            vec![rosterd(if is_drained { "undrain" } else { "explain" }, name)]
        }
        Subject::Reload(names) => names.first().map(|name| rosterd("explain", name)).into_iter().collect(),
    }
}
