//! Whether a publication of one template is queued or in flight. At most one is in flight at a time.

use super::in_flight::PublicationId;

#[cfg(test)]
mod tests;

/// The publish state of a template.
///
/// A change during a publication is not lost. It queues another publication, which uses the state at its own start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Publish {
    /// Nothing is to be done.
    #[default]
    Idle,
    /// A publication is to begin.
    Queued,
    /// A publication or a probe is in flight.
    InFlight {
        /// Its id.
        id: PublicationId,
        /// A publication is to begin after it.
        queued: bool,
    },
}

impl Publish {
    /// Queues a publication.
    pub fn queue(&mut self) {
        match self {
            Self::Idle => *self = Self::Queued,
            Self::Queued => {}
            Self::InFlight { queued, .. } => *queued = true,
        }
    }

    /// Whether a publication is queued, behind one in flight or not.
    pub fn is_queued(self) -> bool {
        matches!(self, Self::Queued | Self::InFlight { queued: true, .. })
    }

    /// Whether a publication or a probe is in flight.
    pub fn is_in_flight(self) -> bool {
        matches!(self, Self::InFlight { .. })
    }

    /// Whether a publication can begin now.
    pub fn is_ready(self) -> bool {
        self == Self::Queued
    }

    /// A publication begins.
    pub fn begin(&mut self, id: PublicationId) {
        *self = Self::InFlight { id, queued: false };
    }

    /// A probe begins. A queued publication stays queued.
    pub fn begin_probe(&mut self, id: PublicationId) {
        *self = Self::InFlight { id, queued: self.is_queued() };
    }

    /// The publication or probe `id` ended. Returns false if another one, or none, is in flight: `id` began under an
    /// earlier configuration.
    pub fn end(&mut self, id: PublicationId) -> bool {
        match *self {
            Self::InFlight { id: own, queued } if own == id => {
                *self = if queued { Self::Queued } else { Self::Idle };
                true
            }
            _ => false,
        }
    }
}
