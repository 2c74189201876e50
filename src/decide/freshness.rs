//! How old the view is that a roster or key was last made of.

use std::time::Duration;

use super::moment::Moment;

#[cfg(test)]
mod tests;

/// Whether what is known is what the registry shows now, and if not, since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness(State);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The registry has never said anything of it.
    Never,
    /// It was remembered: how long before the agent's start it was last confirmed, where the clocks could tell.
    Saved(Option<Duration>),
    /// The registry is reached, and the path has been read since.
    Live,
    /// It was live until then.
    Lost(Moment),
}

impl Freshness {
    /// Nothing is known.
    pub const NEVER: Self = Self(State::Never);

    /// What was last confirmed so long before the agent's start; `None` where the clocks cannot tell.
    pub fn from_saved(age: Option<Duration>) -> Self {
        Self(State::Saved(age))
    }

    /// It was read, and what follows is heard of at once.
    pub fn confirm(&mut self) {
        self.0 = State::Live;
    }

    /// From here on nothing is heard of it.
    pub fn lose(&mut self, now: Moment) {
        if self.0 == State::Live {
            self.0 = State::Lost(now);
        }
    }

    /// Whether the registry is reached, and the path has been read since.
    pub fn is_live(self) -> bool {
        self.0 == State::Live
    }

    /// Whether it is from before the agent's start.
    pub fn is_saved(self) -> bool {
        matches!(self.0, State::Saved(_))
    }

    /// How long ago it was last confirmed: nothing while it is live; `None` where that is not known.
    pub fn age(self, now: Moment) -> Option<Duration> {
        match self.0 {
            State::Never => None,
            State::Saved(before) => before.map(|before| before.saturating_add(now.since_start())),
            State::Live => Some(Duration::ZERO),
            State::Lost(at) => Some(now.since(at)),
        }
    }
}
