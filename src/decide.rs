//! What the live state means: state, input and time in, effects out.
//!
//! Nothing here knows of a file, a process, a task or a clock, and nothing here imports `watch` or `act`.

pub mod member;
pub mod publication;

pub use member::{Fields, Member, Quarantine};
pub use publication::{Failure, Outcome, Publication, Ran, ReloadJob, RosterValue, Seated, Seats, Snapshot, Stage};
