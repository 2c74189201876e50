//! Which held views can be accepted.

use std::sync::Arc;

use super::Roster;
use crate::decide::accept::{Acceptance, HeldView};
use crate::decide::moment::Moment;

impl Roster {
    /// The members that are withheld and can be accepted.
    pub fn held_view(&self) -> HeldView {
        let held_members = self.member_sets.iter().map(|(key, members)| (key, members.held_members(&self.config)));
        let keys = self.held_keys().into_iter().map(|key| (key, None));
        held_members
            .filter_map(|(key, held_members)| Some((Arc::clone(key), Some(held_members?))))
            .chain(keys)
            .collect()
    }

    /// Whether the held view can be accepted. `shown` is what the operator was shown.
    pub fn acceptance(&self, shown: Option<&HeldView>) -> Acceptance {
        let Some((path, hold)) = self.holds().into_iter().next().filter(|_| self.is_held()) else {
            return Acceptance::NotHeld;
        };
        let present = self.held_view();
        let why = if !self.reached {
            "its registry is unreachable, so the held view may be out of date".to_owned()
        } else if present.is_empty() {
            format!("{}; this hold cannot be accepted", hold.reason.describe(&path))
        } else {
            match shown {
                None => "the held view has not been reviewed yet".to_owned(),
                Some(shown) if *shown != present => "the held view has changed since it was last reviewed".to_owned(),
                Some(_) => return Acceptance::AsShown,
            }
        };
        Acceptance::Refused(why)
    }

    /// When the last changes are evaluated; `None` if there are none.
    pub fn settles(&self) -> Option<Moment> {
        self.unsettled.iter().filter_map(|key| self.member_sets.get(key)?.settles(&self.config)).min()
    }

    /// Whether the registry is reached and has answered about the roster since.
    pub fn is_reached(&self) -> bool {
        self.reached
    }
}
