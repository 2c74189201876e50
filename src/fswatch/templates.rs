//! Notices that templates were edited.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::RecursiveMode;

use crate::config::Config;
use crate::decide::Event;
use crate::fswatch::debounce::Debounce;
use crate::log::emit;

/// Follows the folders that templates come from.
#[derive(Debug)]
pub struct Sources {
    edits: Debounce,
}

impl Sources {
    /// Watches the template folder and the folders of templates outside of it. Where the system has no more watches to
    /// give, templates are read again on HUP alone, and that is said.
    pub fn watch(config: &Config) -> Self {
        let (mut edits, mut why) = Debounce::new(|_| true);
        let dir = &config.agent.template_dir;
        let inside = dir.is_dir().then(|| (dir.clone(), RecursiveMode::Recursive));
        let folders = outside(config).into_iter().map(|folder| (folder, RecursiveMode::NonRecursive));
        for (folder, mode) in inside.into_iter().chain(folders) {
            why = why.or(edits.follow(&folder, mode).err());
        }
        if let Some(why) = why {
            emit(Event::TemplateWatchFailed { reason: why.to_string() });
        }
        Self { edits }
    }

    /// Returns when something was edited, and the edits have settled. May be dropped and asked again without losing any.
    pub async fn edited(&self) {
        self.edits.settled().await;
    }
}

fn outside(config: &Config) -> BTreeSet<PathBuf> {
    let dir = &config.agent.template_dir;
    let sources = config.templates.iter().map(|template| dir.join(&template.src));
    sources.filter(|src| !src.starts_with(dir)).filter_map(|src| src.parent().map(Path::to_path_buf)).collect()
}
