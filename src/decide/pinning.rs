//! Whether a template's file is pinned, and the progress of a rollback.

use std::sync::Arc;

use super::pin::Pin;
use super::publication::{Failure, Outcome};

/// Whether a template's file is pinned.
#[derive(Debug, Clone, Default)]
pub enum Pinning {
    /// It holds what is rendered.
    #[default]
    No,
    /// A person asked for a rollback, which is in progress. The pin is in force if the content can be put in place.
    Trial {
        /// The pin.
        pin: Arc<Pin>,
        /// The pin that is in force if the rollback fails.
        before: Option<Arc<Pin>>,
        /// How far the rollback is.
        progress: Progress,
    },
    /// It holds the content of a generation.
    Pinned(Arc<Pin>),
}

/// The progress of a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Its publication has not begun.
    Queued,
    /// Its publication is in flight.
    InFlight,
    /// Its publication ended.
    Ended(Result<(), Failure>),
}

impl Pinning {
    /// A rollback begins.
    pub fn begin_trial(&mut self, pin: Arc<Pin>) {
        let before = match std::mem::take(self) {
            Self::No => None,
            Self::Trial { before, .. } => before,
            Self::Pinned(pin) => Some(pin),
        };
        *self = Self::Trial { pin, before, progress: Progress::Queued };
    }

    /// A publication begins. Returns the pin whose content it has.
    pub fn publication_begins(&mut self) -> Option<Arc<Pin>> {
        if let Self::Trial { progress: progress @ Progress::Queued, .. } = self {
            *progress = Progress::InFlight;
        }
        self.pin().cloned()
    }

    /// A publication ended. Returns whether it was a rollback that failed: the file is as before.
    pub fn publication_ended(&mut self, outcome: &Outcome) -> bool {
        let Self::Trial { progress: progress @ Progress::InFlight, .. } = self else { return false };
        let result = match outcome {
            Outcome::Failed(failure) => Err(failure.clone()),
            Outcome::Abandoned => Err(Failure::stopping()),
            _ => Ok(()),
        };
        let has_failed = result.is_err();
        *progress = Progress::Ended(result);
        has_failed
    }

    /// Ends a rollback that has not begun.
    pub fn cancel_trial(&mut self, failure: Failure) {
        if let Self::Trial { progress: progress @ Progress::Queued, .. } = self {
            *progress = Progress::Ended(Err(failure));
        }
    }

    /// The result of the rollback in progress, once its publication ended.
    pub fn trial_result(&self) -> Option<&Result<(), Failure>> {
        match self {
            Self::Trial { progress: Progress::Ended(result), .. } => Some(result),
            _ => None,
        }
    }

    /// Settles a rollback: its pin is in force, or else what was before. Returns the pin of the rollback.
    pub fn settle(&mut self, succeeded: bool) -> Option<Arc<Pin>> {
        let Self::Trial { pin, before, .. } = self else { return None };
        let (pin, before) = (Arc::clone(pin), before.take());
        *self = match before {
            _ if succeeded => Self::Pinned(Arc::clone(&pin)),
            Some(before) => Self::Pinned(before),
            None => Self::No,
        };
        Some(pin)
    }

    /// The pin in force ends, and `earlier` is in force again. A rollback in progress goes on.
    pub fn end_pin(&mut self, earlier: Option<Arc<Pin>>) {
        match self {
            Self::Trial { before, .. } => *before = earlier,
            _ => *self = earlier.map_or(Self::No, Self::Pinned),
        }
    }

    /// Whether a rollback is in progress.
    pub fn is_trial(&self) -> bool {
        matches!(self, Self::Trial { .. })
    }

    /// Whether nothing else than the content of a pin is put in the file.
    pub fn is_pinned(&self) -> bool {
        !matches!(self, Self::No)
    }

    /// The pin whose content the file gets.
    pub fn pin(&self) -> Option<&Arc<Pin>> {
        match self {
            Self::No => None,
            Self::Trial { pin, .. } | Self::Pinned(pin) => Some(pin),
        }
    }

    /// The pin in force.
    pub fn in_force(&self) -> Option<&Arc<Pin>> {
        match self {
            Self::No => None,
            Self::Trial { before, .. } => before.as_ref(),
            Self::Pinned(pin) => Some(pin),
        }
    }
}
