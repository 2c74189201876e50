//! The loads that were refused since the last good one.

use std::time::SystemTime;

use crate::load::loader::Loaded;
use crate::report::context::{Part, Refusal};

#[cfg(test)]
mod tests;

/// What was refused, and has not been loaded since.
#[derive(Debug, Default)]
pub struct Refusals {
    configuration: Option<Refusal>,
    templates: Option<Refusal>,
}

impl Refusals {
    /// Records the result of a load.
    pub fn record(&mut self, now: SystemTime, loaded: &Loaded) {
        let since = |before: &Option<Refusal>| before.as_ref().map_or(now, |before| before.since);
        match loaded {
            // The configuration is loaded with its templates.
            Loaded::Everything(Ok(_)) => *self = Self::default(),
            Loaded::Everything(Err(problems)) | Loaded::Checked(Err(problems)) => {
                self.configuration = Some(Refusal::new(Part::Configuration, since(&self.configuration), problems));
            }
            Loaded::Templates(Ok(_)) => self.templates = None,
            Loaded::Checked(Ok(true)) => self.configuration = None,
            Loaded::Checked(Ok(false)) => {
                if let Some(refusal) = &mut self.configuration {
                    let reason = "it has been corrected since".to_owned();
                    *refusal = Refusal { place: None, reason, problems: 1, ..refusal.clone() };
                }
            }
            Loaded::Templates(Err(problems)) => {
                self.templates = Some(Refusal::new(Part::Templates, since(&self.templates), problems));
            }
            Loaded::Broken(why) => {
                let (part, since) = (Part::Configuration, since(&self.configuration));
                self.configuration = Some(Refusal { part, since, place: None, reason: why.clone(), problems: 1 });
            }
        }
    }

    /// Whether the configuration was refused.
    pub fn has_configuration(&self) -> bool {
        self.configuration.is_some()
    }

    /// Every refusal.
    pub fn all(&self) -> Vec<Refusal> {
        self.configuration.iter().chain(&self.templates).cloned().collect()
    }
}
