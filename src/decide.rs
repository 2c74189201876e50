//! Decisions, as pure functions of state, input and time. They return effects.
//!
//! This module uses no file, process, task or clock, and imports neither `watch` nor `act`.

pub mod accept;
pub mod contender;
mod dedup;
pub mod engine;
pub mod event;
mod freshness;
mod guard;
pub mod hold;
pub mod in_flight;
pub mod isolate;
pub mod key;
pub mod lock;
mod member_set;
mod moment;
mod needs;
mod pending;
pub mod pending_reload;
pub mod pin;
mod pinning;
pub mod plan;
pub mod program;
pub mod publication;
mod rate_limit;
pub mod registration;
pub mod report;
pub mod roster;
pub mod saved;
pub mod service;
mod settle;
mod size;
mod slot_assignment;
pub mod slots;
pub mod slotted_member;
mod splay;
pub mod template;
pub mod template_readiness;
mod view_cache;

pub use accept::{Acceptance, HeldView};
pub use engine::{Effect, Engine, FollowedView, Input, NotReady, RunMode, WrittenKeys};
pub use event::{Event, Severity};
pub use guard::UnconfirmedLoss;
pub use moment::Moment;
pub use needs::Needs;
pub use pin::{Pin, Pins};
pub use plan::{Plan, Planned, TemplatePlan};
pub use publication::{
    Failure, Group, Outcome, Publication, ReloadJob, ReloadOutcome, Restoration, RosterValue, SlottedMember,
    SlottedMembers, Snapshot, Stage,
};
pub use saved::{GuardHistory, Origin, SavedMember, SavedPath, SavedRoster, SavedState, SavedUpdate};
pub use slots::ReservedSlot;
