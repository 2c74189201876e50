//! The guard against mass loss. The baseline is the largest number of members within a window, not the previous number,
//! because mass expiry arrives in steps.
//!
//! A loss is held until enough members return, until the larger sizes have left the window, until an operator accepts
//! it, or for `hold_max`. A further loss after that is a new one.
//!
//! The rule and its figures follow Pinterest's `KingPin` (a ratio that counts from a few members up) and Eureka's
//! self-preservation (a baseline over fifteen minutes).

use std::collections::VecDeque;
use std::time::Duration;

use super::moment::Moment;
use crate::config::Guard;

#[cfg(test)]
mod tests;

/// The length of the window.
pub const WINDOW: Duration = Duration::from_mins(15);

/// Below this number of members, the guard does not apply.
pub const MIN_MEMBERS: usize = 4;

/// The maximum number of sizes in a baseline. Beyond it, some sizes count a little longer than they lasted.
const MAX_SIZES: usize = 32;

/// The admitted sizes of one path within the window. Only sizes that can still become the largest are kept, so it stays
/// short however often members come and go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    /// Falling sizes, each with its start.
    sizes: VecDeque<(Moment, usize)>,
}

impl Baseline {
    /// Records an admitted view of this size.
    pub fn record(&mut self, now: Moment, size: usize) {
        // A larger size ended when the first smaller one began. A return to that one does not extend it.
        let mut from = now;
        while let Some((earlier, _)) = self.sizes.pop_back_if(|(_, earlier)| *earlier <= size) {
            from = earlier;
        }
        self.sizes.push_back((from, size));
        if self.sizes.len() > MAX_SIZES {
            let last = self.sizes.len() - 1;
            let mut index = 0..;
            self.sizes.retain(|_| index.next().is_some_and(|index| index % 2 == 0 || index == last));
        }
    }

    /// Makes this size the new baseline.
    pub fn restart(&mut self, now: Moment, size: usize) {
        self.sizes.clear();
        self.sizes.push_back((now, size));
    }

    /// The largest size within the window.
    pub fn largest(&mut self, now: Moment) -> Option<usize> {
        let opens = now - WINDOW;
        // The first size is outside the window if the second began before it.
        while self.sizes.get(1).is_some_and(|(from, _)| *from <= opens) {
            self.sizes.pop_front();
        }
        self.sizes.front().map(|(_, size)| *size)
    }

    /// The baseline, if `size` is a loss of more than `percent` of it.
    pub fn refuses(&mut self, now: Moment, size: usize, percent: u8) -> Option<usize> {
        self.largest(now).filter(|largest| is_loss(*largest, size, percent))
    }

    /// When `size` is no longer such a loss, because the larger sizes have left the window.
    fn allows_at(&self, size: usize, percent: u8) -> Option<Moment> {
        let (from, _) = self.sizes.iter().find(|(_, earlier)| !is_loss(*earlier, size, percent))?;
        Some(*from + WINDOW)
    }
}

/// Whether this is a loss of more than `percent`.
fn is_loss(from: usize, to: usize, percent: u8) -> bool {
    let keep = 100usize.saturating_sub(usize::from(percent));
    from >= MIN_MEMBERS && to * 100 < from * keep
}

/// A loss of more than `max_shrink` that is not confirmed yet, even if the roster is held for another reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnconfirmedLoss {
    /// The number of members left when it last got worse.
    pub to: usize,
    /// When it last got worse.
    pub since: Moment,
}

/// A loss that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuspiciousLoss {
    /// The baseline.
    pub from: usize,
    /// When the loss is confirmed, or no longer exceeds `max_shrink`.
    pub until: Moment,
}

/// The guard of one path's members, or of a roster's keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LossGuard {
    baseline: Baseline,
    loss: Option<UnconfirmedLoss>,
}

impl LossGuard {
    /// Restores a saved guard.
    pub fn from_saved(sizes: impl Iterator<Item = (Moment, usize)>, loss: Option<UnconfirmedLoss>) -> Self {
        Self { baseline: Baseline { sizes: sizes.collect() }, loss }
    }

    /// The sizes for the baseline, and the loss that is not confirmed yet.
    pub fn known(&self) -> (impl Iterator<Item = (Moment, usize)>, Option<UnconfirmedLoss>) {
        (self.baseline.sizes.iter().copied(), self.loss)
    }

    /// Returns the suspicious loss if `have` is one. It is confirmed `hold_max` after it last got worse. If there is no
    /// loss now, a later one is new.
    pub fn objection(&mut self, now: Moment, have: usize, guard: Guard) -> Option<SuspiciousLoss> {
        let Some(from) = self.baseline.refuses(now, have, guard.max_shrink_percent) else {
            self.loss = None;
            return None;
        };
        let loss = match self.loss {
            Some(loss) if have >= loss.to => loss,
            // A further loss is held again.
            _ => UnconfirmedLoss { to: have, since: now },
        };
        self.loss = Some(loss);
        let believed = loss.since + guard.hold_max;
        let until = self.baseline.allows_at(have, guard.max_shrink_percent).map_or(believed, |at| at.min(believed));
        (now < until).then_some(SuspiciousLoss { from, until })
    }

    /// Sets the first baseline, unless there is one.
    pub fn begin(&mut self, now: Moment, count: usize) {
        if self.baseline.largest(now).is_none() {
            self.baseline.record(now, count);
        }
    }

    /// Records that this many members were admitted.
    pub fn admit(&mut self, now: Moment, count: usize, guard: Guard) {
        self.loss = None;
        if self.baseline.refuses(now, count, guard.max_shrink_percent).is_some() {
            // The time limit confirmed a loss, not a recovery.
            self.baseline.restart(now, count);
        } else {
            self.baseline.record(now, count);
        }
    }

    /// An operator accepts this many members.
    pub fn accept(&mut self, now: Moment, count: usize) {
        self.loss = None;
        self.baseline.restart(now, count);
    }
}
