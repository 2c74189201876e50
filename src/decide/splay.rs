//! Spreads the reloads of a fleet.

use std::time::Duration;

use crate::config::Reload;
use crate::digest::digest;

/// A host's share of a splay, its place in the spread of a fleet: for one reload always the same, and for all hosts together even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u64);

impl Share {
    /// Half of it.
    #[cfg(test)]
    pub const HALF: Self = Self(u64::MAX / 2);

    /// That of this host for this reload.
    pub fn of(host: &str, reload: &Reload) -> Self {
        // The digest of short texts leaves the high bits, which count here, much alike: this mixes them.
        let mixed = digest([host, &reload.to_string()].into_iter());
        let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Self(mixed ^ (mixed >> 33))
    }

    /// How long it waits, of at most `splay`; always less than that.
    pub fn wait(self, splay: Duration) -> Duration {
        let nanos = splay.as_nanos().saturating_mul(u128::from(self.0)) >> 64;
        u64::try_from(nanos).map_or(splay, Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_spread_over_the_splay_and_each_host_keeps_its_place() {
        let reload = Reload::Command(crate::config::Command::Shell("systemctl reload x".into()));
        let splay = Duration::from_mins(1);
        let waits: Vec<u64> =
            (0..1000).map(|n| Share::of(&format!("host{n}"), &reload).wait(splay).as_secs()).collect();
        assert!(waits.iter().all(|wait| *wait < 60));
        for sixth in 0..6 {
            let count = waits.iter().filter(|wait| **wait / 10 == sixth).count();
            assert!((110..=225).contains(&count), "{count} of 1000 in the sixth part {sixth}");
        }
        let again = Share::of("host7", &reload).wait(splay).as_secs();
        assert_eq!(again, waits[7]);
        assert_eq!(Share(u64::MAX).wait(Duration::from_secs(10)).as_secs(), 9, "never the whole of it");
        assert_eq!(Share(u64::MAX).wait(Duration::ZERO), Duration::ZERO);
    }
}
