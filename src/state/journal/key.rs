//! The key of a journal entry.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::TemplateConfig;
use crate::state::append_log::path_encoding;

/// A template's file. Several templates may each have a block in one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The destination.
    #[serde(with = "path_encoding")]
    pub dest: PathBuf,
    /// The template's name.
    pub template: Arc<str>,
}

impl Key {
    /// The key of a template's own file.
    pub fn new(template: &TemplateConfig) -> Self {
        Self { dest: template.dest.clone(), template: Arc::clone(&template.name) }
    }
}
