//! Answers `get --agent` with the views of the agent's session.

use super::Agent;
use crate::control::{Answer, PathView};
use crate::decide::FollowedView;
use crate::model::node_path::Subject;
use crate::model::saved_view::SavedView;

impl Agent {
    /// The views of paths. The first registry that follows a path answers for it.
    pub fn views(&self, paths: &[String]) -> Answer {
        Answer::Views(paths.iter().map(|path| self.view(path)).collect())
    }

    fn view(&self, path: &str) -> PathView {
        let engine = &self.driver.engine;
        let registries = || self.setup.config.registries.iter().map(|config| &config.name);
        let followed = Subject::parse(path)
            .ok()
            .and_then(|subject| registries().find_map(|registry| engine.followed(registry, &subject)));
        let Some(FollowedView { view, stale_since, reason }) = followed else { return PathView::default() };
        PathView {
            is_followed: true,
            view: view.as_ref().map(SavedView::new),
            stale: stale_since.map(|since| self.driver.now().since(since)),
            reason,
        }
    }
}
