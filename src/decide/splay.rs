//! Splay: spreads the reloads of a fleet over time.

use std::time::Duration;

use crate::config::Reload;
use crate::model::digest::digest;

#[cfg(test)]
mod tests;

/// A host's fraction of the splay: constant for one reload, and uniform over all hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplayShare(u64);

impl SplayShare {
    /// Half of it.
    #[cfg(test)]
    pub const HALF: Self = Self(u64::MAX / 2);

    /// The fraction of this host for this reload.
    pub fn new(host: &str, reload: &Reload) -> Self {
        // The digest of short texts varies little in the high bits, which count here. This mixes them.
        let mixed = digest([host, &reload.to_string()].into_iter());
        let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Self(mixed ^ (mixed >> 33))
    }

    /// The delay; always less than `splay`.
    pub fn delay(self, splay: Duration) -> Duration {
        let nanos = splay.as_nanos().saturating_mul(u128::from(self.0)) >> 64;
        u64::try_from(nanos).map_or(splay, Duration::from_nanos)
    }
}
