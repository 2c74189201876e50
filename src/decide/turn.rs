//! One publication in flight a template, and the latest wins.

/// Whose turn it is. A change during a publication is never lost: it makes the template wanted again, and the next
/// publication is made from what is known when the present one has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    wanted: bool,
    in_flight: bool,
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
        self.in_flight
    }

    /// Whether a publication may begin now.
    pub fn is_ready(self) -> bool {
        self.wanted && !self.in_flight
    }

    /// A publication begins.
    pub fn begin(&mut self) {
        *self = Self { wanted: false, in_flight: true };
    }

    /// It ended.
    pub fn end(&mut self) {
        self.in_flight = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_during_a_publication_makes_another() {
        let mut turn = Turn::default();
        turn.want();
        turn.want();
        assert!(turn.is_ready());
        turn.begin();
        assert!(!turn.is_ready());
        turn.want();
        assert!(!turn.is_ready(), "one in flight");
        turn.end();
        assert!(turn.is_ready(), "and the change in between is not lost");
        turn.begin();
        turn.end();
        assert!(!turn.is_ready(), "two changes before the start are one");
    }
}
