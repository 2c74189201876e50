//! Reports edited templates.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::RecursiveMode;

use crate::config::Config;
use crate::decide::Event;
use crate::fswatch::debounce::Debounce;
use crate::log::emit;

/// Watches the directories of templates.
#[derive(Debug)]
pub struct TemplateWatcher {
    edits: Debounce,
}

impl TemplateWatcher {
    /// Watches the template directory and the directories of templates outside of it. If the system has no watches
    /// left, templates are reread only on HUP, and the failure is logged.
    pub fn watch(config: &Config) -> Self {
        let (mut edits, mut why) = Debounce::new(|_| true);
        let dir = &config.agent.template_dir;
        let inside = dir.is_dir().then(|| (dir.clone(), RecursiveMode::Recursive));
        let directories = outside(config).into_iter().map(|directory| (directory, RecursiveMode::NonRecursive));
        for (directory, mode) in inside.into_iter().chain(directories) {
            why = why.or(edits.follow(&directory, mode).err());
        }
        if let Some(why) = why {
            emit(Event::TemplateWatchFailed { reason: why.to_string() });
        }
        Self { edits }
    }

    /// Returns when edits have settled. May be dropped and called again without losing an edit.
    pub async fn changed(&self) {
        self.edits.settled().await;
    }
}

fn outside(config: &Config) -> BTreeSet<PathBuf> {
    let dir = &config.agent.template_dir;
    let sources = config.templates.iter().map(|template| dir.join(&template.src));
    sources.filter(|src| !src.starts_with(dir)).filter_map(|src| src.parent().map(Path::to_path_buf)).collect()
}
