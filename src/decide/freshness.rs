//! How old the view is that a roster or key was last made of.

use std::time::Duration;

use super::moment::Moment;

/// Whether what is known is what the registry shows now, and if not, since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness(State);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The registry has never said anything of it.
    Never,
    /// It was remembered: how long before the agent's start it was last confirmed, where the clocks could tell.
    Recalled(Option<Duration>),
    /// The registry is reached, and the path has been read since.
    Live,
    /// It was live until then.
    Lost(Moment),
}

impl Freshness {
    /// Nothing is known.
    pub const NEVER: Self = Self(State::Never);

    /// What was last confirmed so long before the agent's start; `None` where the clocks cannot tell.
    pub fn recalled(age: Option<Duration>) -> Self {
        Self(State::Recalled(age))
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
    pub fn is_recalled(self) -> bool {
        matches!(self.0, State::Recalled(_))
    }

    /// How long ago it was last confirmed: nothing while it is live; `None` where that is not known.
    pub fn age(self, now: Moment) -> Option<Duration> {
        match self.0 {
            State::Never => None,
            State::Recalled(before) => before.map(|before| before.saturating_add(now.since_start())),
            State::Live => Some(Duration::ZERO),
            State::Lost(at) => Some(now.since(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_grows_from_the_moment_of_the_loss_or_from_before_the_start() {
        let at = |secs| Moment::after_start(Duration::from_secs(secs));
        let age = |freshness: Freshness, secs| freshness.age(at(secs)).map(|age| age.as_secs());
        let mut freshness = Freshness::NEVER;
        freshness.lose(at(1));
        assert_eq!(age(freshness, 9), None, "what was never known cannot be lost");
        assert_eq!(age(Freshness::recalled(None), 9), None);
        freshness = Freshness::recalled(Some(Duration::from_mins(1)));
        freshness.lose(at(5));
        assert_eq!(age(freshness, 9), Some(69), "the registry is away, and was before");
        freshness.confirm();
        assert_eq!((age(freshness, 100), freshness.is_live()), (Some(0), true));
        freshness.lose(at(100));
        freshness.lose(at(130));
        assert_eq!((age(freshness, 140), freshness.is_live()), (Some(40), false), "said again is not lost again");
    }
}
