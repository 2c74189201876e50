//! Debounce: changes settle before they are judged.

use super::moment::Moment;
use crate::config::Wait;

#[cfg(test)]
mod tests;

/// When the changes since the last judgement may be judged: once nothing has changed for `quiet`, but never later
/// than `max` after the first of them, so that members that never stop flapping are still followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settle {
    span: Option<(Moment, Moment)>,
}

impl Settle {
    /// Something changed.
    pub fn mark_changed(&mut self, now: Moment) {
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
