//! The input of the engine from a configuration and its templates.

use std::sync::Arc;

use super::needs::Needs;
use crate::config::{KeyConfig, RosterConfig, TemplateConfig};

/// A complete configuration as the engine sees it. Names are unique, and everything that a template needs exists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// All rosters.
    pub rosters: Vec<Planned<RosterConfig>>,
    /// All keys.
    pub keys: Vec<Planned<KeyConfig>>,
    /// All templates.
    pub templates: Vec<TemplatePlan>,
}

/// Something that is watched in a registry.
#[derive(Debug, PartialEq)]
pub struct Planned<T> {
    /// Its configuration.
    pub config: Arc<T>,
    /// The URL of its registry. Views from another URL do not apply.
    pub origin: Arc<str>,
}

impl<T> Clone for Planned<T> {
    fn clone(&self) -> Self {
        Self { config: Arc::clone(&self.config), origin: Arc::clone(&self.origin) }
    }
}

/// A template and what it is rendered from.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplatePlan {
    /// Its configuration.
    pub config: Arc<TemplateConfig>,
    /// The rosters and keys that it names.
    pub needs: Needs,
}
