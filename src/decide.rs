//! What the live state means: state, input and time in, effects out.
//!
//! Nothing here knows of a file, a process, a task or a clock, and nothing here imports `watch` or `act`.

pub mod accept;
mod dedup;
pub mod engine;
pub mod event;
pub mod flight;
mod freshness;
mod guard;
pub mod hold;
pub mod isolate;
pub mod key;
mod member_set;
mod moment;
mod needs;
mod pending;
pub mod pending_reload;
pub mod plan;
pub mod program;
pub mod publication;
pub mod query;
pub mod report;
pub mod roster;
pub mod saved;
mod settle;
mod size;
mod slot_assignment;
pub mod slots;
pub mod slotted_member;
mod splay;
pub mod template;
mod view_cache;

pub use accept::{Acceptance, Shown};
pub use engine::{Behind, Effect, Engine, Input, Pace, Written};
pub use event::{Event, Severity};
pub use guard::Loss;
pub use moment::Moment;
pub use needs::Needs;
pub use plan::{Followed, Plan, TemplatePlan};
pub use publication::{
    Failure, Group, Outcome, Publication, Ran, ReloadJob, Restoration, RosterValue, SlottedMember, SlottedMembers,
    Snapshot, Stage,
};
pub use saved::{GuardHistory, Kept, Known, Origin, Recalled, SavedRoster, SavedState};
pub use slots::ReservedSlot;
