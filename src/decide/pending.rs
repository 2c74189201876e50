//! One publication in flight a template, and the latest wins.

use super::flight::FlightId;

#[cfg(test)]
mod tests;

/// Whose turn it is. A change during a publication is never lost: it makes the template wanted again, and the next
/// publication is made from what is known when the present one has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    wanted: bool,
    in_flight: Option<FlightId>,
}

impl Turn {
    /// Something that the template depends on changed.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether something is to be done that has not begun.
    pub fn is_wanted(self) -> bool {
        self.wanted
    }

    /// Whether a publication is under way.
    pub fn is_in_flight(self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether a publication may begin now.
    pub fn is_ready(self) -> bool {
        self.wanted && self.in_flight.is_none()
    }

    /// A publication begins.
    pub fn begin(&mut self, id: FlightId) {
        *self = Self { wanted: false, in_flight: Some(id) };
    }

    /// A probe begins: what is to be published still is.
    pub fn begin_probe(&mut self, id: FlightId) {
        self.in_flight = Some(id);
    }

    /// A publication ended. `false` when it is not this one: it began before the template was what it is now.
    pub fn end(&mut self, id: FlightId) -> bool {
        let own = self.in_flight == Some(id);
        if own {
            self.in_flight = None;
        }
        own
    }
}
