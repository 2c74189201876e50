//! The guard against mass loss: the baseline is the most members there were over a window, not in the step before,
//! because mass expiry arrives in steps.
//!
//! A loss is held until enough members are back, until the larger sizes have left the window, until a person accepts it,
//! or for `hold_max`. What is lost after that is a new loss.
//!
//! The rule and its figures follow Pinterest's `KingPin` (a ratio that counts from a few members up) and Eureka's
//! self-preservation (a baseline over fifteen minutes).

use std::collections::VecDeque;
use std::time::Duration;

use super::moment::Moment;
use crate::config::Guard;

#[cfg(test)]
mod tests;

/// How far back the baseline looks.
pub const WINDOW: Duration = Duration::from_mins(15);

/// With fewer members than this, a share of them says nothing.
pub const MIN_MEMBERS: usize = 4;

/// The most sizes that a baseline is made of: with more, some are taken to have lasted a little longer than they did.
const MAX_SIZES: usize = 32;

/// The admitted sizes of one path over the window. Only sizes that could still be the largest are kept, so it stays
/// short however often members come and go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    /// Falling sizes, each with the moment from which it was in force.
    sizes: VecDeque<(Moment, usize)>,
}

impl Baseline {
    /// A view of this size was admitted.
    pub fn record(&mut self, now: Moment, size: usize) {
        // A larger size ended when the first smaller one began, and a return to that one does not lengthen it.
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

    /// Forgets all that was before: this size is the new baseline, because somebody or something let it through.
    pub fn restart(&mut self, now: Moment, size: usize) {
        self.sizes.clear();
        self.sizes.push_back((now, size));
    }

    /// The largest size in force at any time in the window.
    pub fn largest(&mut self, now: Moment) -> Option<usize> {
        let opens = now - WINDOW;
        // The first is out of the window once the second was already in force when the window opened.
        while self.sizes.get(1).is_some_and(|(from, _)| *from <= opens) {
            self.sizes.pop_front();
        }
        self.sizes.front().map(|(_, size)| *size)
    }

    /// The baseline, when `size` is a loss of more than `percent` of it.
    pub fn refuses(&mut self, now: Moment, size: usize, percent: u8) -> Option<usize> {
        self.largest(now).filter(|largest| is_loss(*largest, size, percent))
    }

    /// When `size` is no such loss any more, because the larger sizes have left the window.
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

/// A loss of more than `max_shrink`, which is not believed yet, whatever else holds meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnconfirmedLoss {
    /// How many were left when it was last found to be worse.
    pub to: usize,
    /// When that was.
    pub since: Moment,
}

/// What speaks against a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuspiciousLoss {
    /// How many there were.
    pub from: usize,
    /// When the loss is believed all the same, or is none any more.
    pub until: Moment,
}

/// The guard of the members of one path, or of the keys of a roster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LossGuard {
    baseline: Baseline,
    loss: Option<UnconfirmedLoss>,
}

impl LossGuard {
    /// What was known at the last start.
    pub fn from_saved(sizes: impl Iterator<Item = (Moment, usize)>, loss: Option<UnconfirmedLoss>) -> Self {
        Self { baseline: Baseline { sizes: sizes.collect() }, loss }
    }

    /// The sizes that the baseline is made of, and the loss that is not believed yet.
    pub fn known(&self) -> (impl Iterator<Item = (Moment, usize)>, Option<UnconfirmedLoss>) {
        (self.baseline.sizes.iter().copied(), self.loss)
    }

    /// What speaks against so many, if anything does. A loss is believed `hold_max` after it was last found to
    /// be worse. Where nothing does, whatever is lost later is a new loss.
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

    /// Nothing was ever taken: there were so many to begin with.
    pub fn begin(&mut self, now: Moment, count: usize) {
        if self.baseline.largest(now).is_none() {
            self.baseline.record(now, count);
        }
    }

    /// So many were taken.
    pub fn admit(&mut self, now: Moment, count: usize, guard: Guard) {
        self.loss = None;
        if self.baseline.refuses(now, count, guard.max_shrink_percent).is_some() {
            // Time let a loss through; a recovery, however late, is none.
            self.baseline.restart(now, count);
        } else {
            self.baseline.record(now, count);
        }
    }

    /// A person lets so many through.
    pub fn accept(&mut self, now: Moment, count: usize) {
        self.loss = None;
        self.baseline.restart(now, count);
    }
}
