//! Spreads the reloads of a fleet.

use std::time::Duration;

use crate::config::Reload;
use crate::model::digest::digest;

#[cfg(test)]
mod tests;

/// A host's share of a splay, its place in the spread of a fleet: for one reload always the same, and for all hosts together even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplayShare(u64);

impl SplayShare {
    /// Half of it.
    #[cfg(test)]
    pub const HALF: Self = Self(u64::MAX / 2);

    /// That of this host for this reload.
    pub fn new(host: &str, reload: &Reload) -> Self {
        // The digest of short texts leaves the high bits, which count here, much alike: this mixes them.
        let mixed = digest([host, &reload.to_string()].into_iter());
        let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Self(mixed ^ (mixed >> 33))
    }

    /// How long it waits, of at most `splay`; always less than that.
    pub fn delay(self, splay: Duration) -> Duration {
        let nanos = splay.as_nanos().saturating_mul(u128::from(self.0)) >> 64;
        u64::try_from(nanos).map_or(splay, Duration::from_nanos)
    }
}
