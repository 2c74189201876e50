//! The publications in flight: their destinations, and which began together.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Reload, TemplateConfig};

/// The unique id of a publication.
pub type PublicationId = u64;

/// A publication in flight.
#[derive(Debug, Clone)]
pub struct InFlightPublication {
    /// The template, as configured when it began.
    pub config: Arc<TemplateConfig>,
    /// The step in which it began. Publications of the same step belong together.
    batch: u64,
    /// A replacement is not followed by a reload.
    pub no_reload: bool,
}

/// All publications in flight.
#[derive(Debug, Default)]
pub struct InFlightPublications {
    open: BTreeMap<PublicationId, InFlightPublication>,
    /// Their destinations. With hundreds of templates, comparing each with each would dominate.
    busy: HashSet<PathBuf>,
    last: PublicationId,
    batch: u64,
}

impl InFlightPublications {
    /// Starts a new batch.
    pub fn next_batch(&mut self) {
        self.batch += 1;
    }

    /// Begins a publication whose destination is not busy.
    pub fn begin(&mut self, config: &Arc<TemplateConfig>, no_reload: bool) -> PublicationId {
        self.last += 1;
        self.busy.insert(config.dest.clone());
        self.open.insert(self.last, InFlightPublication { config: Arc::clone(config), batch: self.batch, no_reload });
        self.last
    }

    /// Ends one.
    pub fn end(&mut self, id: PublicationId) -> Option<InFlightPublication> {
        let flight = self.open.remove(&id)?;
        self.busy.remove(&flight.config.dest);
        Some(flight)
    }

    /// Ends those of these templates.
    pub fn end_all(&mut self, templates: &[Arc<TemplateConfig>]) {
        for template in templates {
            self.busy.remove(&template.dest);
            self.open.retain(|_, flight| flight.config.dest != template.dest);
        }
    }

    /// Whether a publication of any template has this destination. A renamed template has the destination of its old
    /// name.
    pub fn is_busy(&self, dest: &Path) -> bool {
        self.busy.contains(dest)
    }

    /// Those of the same batch as `flight` that share this reload or its unit.
    pub fn in_batch(&self, flight: &InFlightPublication, reload: &Reload) -> BTreeSet<PublicationId> {
        let (batch, unit) = (flight.batch, &flight.config.unit);
        let shares =
            |other: &TemplateConfig| other.reload.as_ref() == Some(reload) || (unit.is_some() && other.unit == *unit);
        let in_batch = |other: &InFlightPublication| other.batch == batch && shares(&other.config);
        self.open.iter().filter(|(_, other)| in_batch(other)).map(|(id, _)| *id).collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
