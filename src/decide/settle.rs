//! Debounce: changes settle before they are judged.

use super::moment::Moment;
use crate::config::Wait;

/// When the changes since the last judgement may be judged: once nothing has changed for `quiet`, but never later
/// than `max` after the first of them, so that members that never stop flapping are still followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settle {
    span: Option<(Moment, Moment)>,
}

impl Settle {
    /// Something changed.
    pub fn touch(&mut self, now: Moment) {
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = Some((first, now));
    }

    /// When the changes are due, if there are any.
    pub fn due(&self, wait: Wait) -> Option<Moment> {
        self.span.map(|(first, last)| (last + wait.quiet).min(first + wait.max))
    }

    /// They are judged, or void.
    pub fn clear(&mut self) {
        self.span = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    #[test]
    fn quiet_ends_it_and_max_ends_it_sooner() {
        let mut settle = Settle::default();
        assert_eq!(settle.due(Wait::DEFAULT), None);
        settle.touch(at(1000));
        assert_eq!(settle.due(Wait::DEFAULT), Some(at(1200)));
        settle.touch(at(1150));
        assert_eq!(settle.due(Wait::DEFAULT), Some(at(1350)));
        for ms in (1300..4000).step_by(100) {
            settle.touch(at(ms));
        }
        assert_eq!(settle.due(Wait::DEFAULT), Some(at(3000)), "2s after the first change");
        settle.clear();
        assert_eq!(settle.due(Wait::DEFAULT), None);
    }
}
