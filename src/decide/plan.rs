//! What the engine is to do, as a configuration and its templates give it.

use std::sync::Arc;

use super::needs::Needs;
use crate::config::{KeyConfig, RosterConfig, TemplateConfig};

/// A whole configuration as the engine sees it: names are unique, and what a template needs exists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Every roster.
    pub rosters: Vec<Planned<RosterConfig>>,
    /// Every key.
    pub keys: Vec<Planned<KeyConfig>>,
    /// Every template.
    pub templates: Vec<TemplatePlan>,
}

/// Something that is followed, and where its registry is: after the url changed, what was seen before says nothing.
#[derive(Debug, PartialEq)]
pub struct Planned<T> {
    /// How it is configured.
    pub config: Arc<T>,
    /// Its registry's url.
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
    /// How it is configured.
    pub config: Arc<TemplateConfig>,
    /// The rosters and keys that it names.
    pub needs: Needs,
}
