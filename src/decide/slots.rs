//! The numbers that members had, for the next start: software that knows its backends by number must not see them
//! change because the agent was restarted.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The members of one path by name, each with its number.
pub type Numbers = BTreeMap<Arc<str>, u32>;

/// The numbers in a roster: by what its `*` matched, or by the empty string.
pub type RosterSlots = BTreeMap<Arc<str>, Numbers>;
