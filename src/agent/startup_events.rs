//! Events at a start and at a reload of the configuration.

use std::sync::Arc;

use crate::config::Config;
use crate::decide::{Event, Plan};
use crate::log::emit;

/// The event for a new configuration. `changes` is the number of differences from the previous one.
pub fn config_loaded(config: &Config, changes: Option<usize>) -> Event {
    let (roster_count, key_count) = (config.rosters.len(), config.keys.len());
    let (template_count, service_count) = (config.templates.len(), config.services.len());
    Event::ConfigLoaded { roster_count, key_count, template_count, service_count, changes }
}

/// Emits what is watched and which files are managed.
pub fn emit_watched(config: &Config, plan: &Plan) {
    for followed in &plan.rosters {
        let (config, bounds) = (&followed.config, followed.config.bounds);
        let (min, max) = (Some(bounds.min()), bounds.max());
        let (roster, registry) = (Arc::clone(&config.name), Arc::clone(&config.registry));
        let (path, url) = (config.subject.to_string(), Arc::clone(&followed.origin));
        emit(Event::WatchStarted { roster, path, registry, url, min, max });
    }
    for followed in &plan.keys {
        let (config, url) = (&followed.config, Arc::clone(&followed.origin));
        let (roster, path) = (Arc::clone(&config.name), config.subject.to_string());
        emit(Event::WatchStarted { roster, path, registry: Arc::clone(&config.registry), url, min: None, max: None });
    }
    for template in &config.templates {
        emit(Event::TemplateLoaded { template: Arc::clone(&template.name), dest: template.dest.clone() });
    }
}
