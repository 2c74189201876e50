//! Answers `get --agent` with the views of the agent's session.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Agent;
use crate::control::{Answer, PathView};
use crate::decide::FollowedView;
use crate::decide::hold::Reason;
use crate::decide::roster::Roster;
use crate::error::Exit;
use crate::model::node_path::Subject;
use crate::model::saved_view::SavedView;

impl Agent {
    /// The views of paths.
    pub fn views(&self, paths: &[String]) -> Answer {
        // Each answer is a copy of a whole view.
        if paths.iter().collect::<BTreeSet<_>>().len() < paths.len() {
            return Answer::failed(Exit::Usage, "a path is named twice");
        }
        Answer::Views(paths.iter().map(|path| self.view(path)).collect())
    }

    fn view(&self, path: &str) -> PathView {
        let engine = &self.driver.engine;
        let Ok(subject) = Subject::parse(path) else { return PathView::default() };
        let registries = self.setup.config.registries.iter().map(|config| &config.name);
        let mut all = registries.filter_map(|name| Some((name, engine.followed(name, &subject)?)));
        let Some((registry, FollowedView { view, stale_since, reason })) = all.next() else {
            return PathView::default();
        };
        if all.next().is_some() {
            let why = "rosters of several registries follow it: omit --agent, and use --registry".to_owned();
            return PathView { is_followed: true, view: Some(SavedView::Unreadable(why)), ..PathView::default() };
        }
        // The registry showed a newer state before.
        let rosters = engine.rosters().values().filter(|roster| roster.config().registry == *registry);
        let mut holds = rosters.flat_map(Roster::holds);
        let older = holds.find(|(at, hold)| at == path && matches!(hold.reason, Reason::Older { .. }));
        let older = older.map(|(at, hold)| hold.reason.describe(&at));
        let stale = stale_since.map(|since| self.driver.now().since(since));
        let is_default = self.setup.config.registries.first().is_none_or(|config| config.name == *registry);
        PathView {
            is_followed: true,
            registry: (!is_default).then(|| registry.to_string()),
            view: view.as_ref().map(SavedView::new),
            stale: stale.or(older.as_ref().map(|_| Duration::ZERO)),
            reason: reason.or(older),
        }
    }
}
