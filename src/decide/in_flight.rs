//! Publications under way: which destination is whose, and which of them began together.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Reload, TemplateConfig};

/// A publication's number: no two have the same.
pub type PublicationId = u64;

/// One publication under way.
#[derive(Debug, Clone)]
pub struct InFlightPublication {
    /// The template, as it was configured when it began.
    pub config: Arc<TemplateConfig>,
    /// The step in which it began: what changed together began together.
    batch: u64,
    /// A replacement includes no reload.
    pub no_reload: bool,
}

/// Every publication under way.
#[derive(Debug, Default)]
pub struct InFlightPublications {
    open: BTreeMap<PublicationId, InFlightPublication>,
    /// Where they go. With hundreds of templates under way, to compare each with each would cost more than the rest.
    busy: HashSet<PathBuf>,
    last: PublicationId,
    batch: u64,
}

impl InFlightPublications {
    /// What begins from here on is a batch of its own.
    pub fn next_batch(&mut self) {
        self.batch += 1;
    }

    /// A publication begins, whose destination is not busy.
    pub fn begin(&mut self, config: &Arc<TemplateConfig>, no_reload: bool) -> PublicationId {
        self.last += 1;
        self.busy.insert(config.dest.clone());
        self.open.insert(self.last, InFlightPublication { config: Arc::clone(config), batch: self.batch, no_reload });
        self.last
    }

    /// One ended.
    pub fn end(&mut self, id: PublicationId) -> Option<InFlightPublication> {
        let flight = self.open.remove(&id)?;
        self.busy.remove(&flight.config.dest);
        Some(flight)
    }

    /// Those of these templates ended.
    pub fn end_all(&mut self, templates: &[Arc<TemplateConfig>]) {
        for template in templates {
            self.busy.remove(&template.dest);
            self.open.retain(|_, flight| flight.config.dest != template.dest);
        }
    }

    /// Whether a destination has one, whichever template asked for it: one that was renamed meets itself here.
    pub fn is_busy(&self, dest: &Path) -> bool {
        self.busy.contains(dest)
    }

    /// Those that began together with `flight` and share this reload, or its unit.
    pub fn in_batch(&self, flight: &InFlightPublication, reload: &Reload) -> BTreeSet<PublicationId> {
        let (batch, unit) = (flight.batch, &flight.config.unit);
        let shares =
            |other: &TemplateConfig| other.reload.as_ref() == Some(reload) || (unit.is_some() && other.unit == *unit);
        let in_batch = |other: &InFlightPublication| other.batch == batch && shares(&other.config);
        self.open.iter().filter(|(_, other)| in_batch(other)).map(|(id, _)| *id).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
