//! Debounce: changes settle before they are evaluated.

use super::moment::Moment;
use crate::config::Wait;

#[cfg(test)]
mod tests;

/// When changes are evaluated: once nothing has changed for `quiet`, but at most `max` after the first change, so that
/// members that never stop flapping do not block it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settle {
    span: Option<(Moment, Moment)>,
}

impl Settle {
    /// Records a change.
    pub fn mark_changed(&mut self, now: Moment) {
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = Some((first, now));
    }

    /// When the changes are evaluated, if there are any.
    pub fn due(&self, wait: Wait) -> Option<Moment> {
        self.span.map(|(first, last)| (last + wait.quiet).min(first + wait.max))
    }

    /// Drops the changes.
    pub fn clear(&mut self) {
        self.span = None;
    }
}
