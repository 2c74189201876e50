//! How late a path was seen to be, and whether it went backwards.
//!
//! An ensemble never forgets what it acknowledged, so a path's stamp never falls: one that does is from a backup that
//! was restored, from another ensemble behind the same name, or from servers that lost their disks.

use crate::model::registry_event::Zxid;

#[cfg(test)]
mod tests;

/// The stamps of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Version {
    /// The present view's, where it has one.
    shown: Option<Zxid>,
    /// The highest that was ever believed or seen.
    highest: Option<Zxid>,
}

impl Version {
    /// What is known before the first view.
    pub fn recalled(highest: Option<Zxid>) -> Self {
        Self { shown: None, highest }
    }

    /// A view came, with this stamp or without one.
    pub fn see(&mut self, shown: Option<Zxid>) {
        self.shown = shown;
        self.highest = self.highest.max(shown);
    }

    /// What this says nothing of was last known at `other`'s highest: a key's path is no older than the node above.
    pub fn raise(&mut self, other: Self) {
        self.highest = self.highest.max(other.highest);
    }

    /// The view's stamp and the highest one, when the view is an older state than one that was seen.
    pub fn regress(self) -> Option<(Zxid, Zxid)> {
        self.shown.zip(self.highest).filter(|(shown, highest)| shown < highest)
    }

    /// The view was taken: what comes later is compared with it, however old it is.
    pub fn believe(&mut self) {
        self.highest = self.shown.or(self.highest);
    }

    /// The stamp of the present view, where it has one.
    pub fn shown(self) -> Option<Zxid> {
        self.shown
    }

    /// What the next view is compared with.
    pub fn highest(self) -> Option<Zxid> {
        self.highest
    }
}
