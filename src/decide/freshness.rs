//! The age of the view behind a roster or key.

use std::time::Duration;

use super::moment::Moment;

#[cfg(test)]
mod tests;

/// Whether a view is current, and if not, since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness(State);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The registry has never answered about it.
    Never,
    /// It is saved state. This is its age at the start of the agent, if known.
    Saved(Option<Duration>),
    /// The registry is reached, and the path has been read since.
    Live,
    /// It was current until this time.
    Lost(Moment),
}

impl Freshness {
    /// Nothing is known.
    pub const NEVER: Self = Self(State::Never);

    /// Saved state of this age at the start of the agent; `None` if unknown.
    pub fn from_saved(age: Option<Duration>) -> Self {
        Self(State::Saved(age))
    }

    /// The path was read, and changes are reported from now on.
    pub fn confirm(&mut self) {
        self.0 = State::Live;
    }

    /// Changes are no longer reported.
    pub fn mark_stale(&mut self, now: Moment) {
        if self.0 == State::Live {
            self.0 = State::Lost(now);
        }
    }

    /// Whether the registry is reached and the path has been read since.
    pub fn is_live(self) -> bool {
        self.0 == State::Live
    }

    /// Whether it is saved state of an earlier run.
    pub fn is_saved(self) -> bool {
        matches!(self.0, State::Saved(_))
    }

    /// How long ago it was last confirmed: zero while it is current; `None` if unknown.
    pub fn age(self, now: Moment) -> Option<Duration> {
        match self.0 {
            State::Never => None,
            State::Saved(before) => before.map(|before| before.saturating_add(now.since_start())),
            State::Live => Some(Duration::ZERO),
            State::Lost(at) => Some(now.since(at)),
        }
    }
}
