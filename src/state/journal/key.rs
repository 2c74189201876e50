//! Which file of which template an entry is about.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::TemplateConfig;
use crate::state::append_log::path_encoding;

/// Which file, and on whose behalf: several templates can have a block each of one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The destination.
    #[serde(with = "path_encoding")]
    pub dest: PathBuf,
    /// The template's name.
    pub template: Arc<str>,
}

impl Key {
    /// A template's own.
    pub fn new(template: &TemplateConfig) -> Self {
        Self { dest: template.dest.clone(), template: Arc::clone(&template.name) }
    }
}
