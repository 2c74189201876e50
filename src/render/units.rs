//! Units in which a template or a check names the files of its unit.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::{TemplateConfig, UnitPaths};

use super::Library;

/// A unit whose checks see its new files together.
#[derive(Debug, Default)]
pub struct Unit {
    /// Its templates.
    pub templates: Vec<Arc<TemplateConfig>>,
    /// Their destinations.
    pub dests: UnitPaths,
}

impl Library {
    /// The unit of a template, if a template or a check in it names files with `staged`.
    pub fn unit(&self, template: &TemplateConfig) -> Option<&Unit> {
        self.units.get(template.unit.as_ref()?)
    }

    /// The unit whose new files a template's check reads: the template or its `check_cmd` uses `staged`.
    pub fn checked_with(&self, template: &TemplateConfig) -> Option<&Unit> {
        self.unit(template).filter(|_| self.uses_staged(&template.src) || template.check_names_staged())
    }

    /// Whether a template names files of its unit with `staged`.
    pub fn uses_staged(&self, src: &Path) -> bool {
        self.entries.get(src).is_some_and(|entry| entry.uses_staged)
    }
}

/// The units of these templates.
pub fn units(templates: &[Arc<TemplateConfig>]) -> BTreeMap<Arc<str>, Unit> {
    let mut units: BTreeMap<Arc<str>, Unit> = BTreeMap::new();
    for template in templates {
        let Some(name) = &template.unit else { continue };
        let unit = units.entry(Arc::clone(name)).or_default();
        unit.dests.insert(Arc::clone(&template.name), template.dest.clone());
        unit.templates.push(Arc::clone(template));
    }
    units
}
