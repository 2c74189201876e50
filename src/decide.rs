//! What the live state means: state, input and time in, effects out.
//!
//! Nothing here knows of a file, a process, a task or a clock, and nothing here imports `watch` or `act`.

pub mod accept;
pub mod debt;
mod doubles;
pub mod engine;
pub mod event;
mod filter;
pub mod flight;
mod freshness;
mod guard;
pub mod hold;
pub mod isolate;
pub mod key;
pub mod member;
mod moment;
mod muster;
mod needs;
pub mod plan;
pub mod program;
pub mod publication;
pub mod recall;
pub mod report;
pub mod roster;
pub mod seated;
mod seats;
mod settle;
mod sights;
mod size;
mod slots;
mod splay;
mod stamp;
pub mod template;
mod turn;

pub use accept::{Acceptance, Shown, Withheld};
pub use engine::{Behind, Effect, Engine, Input, Pace, Written};
pub use event::{Event, Severity};
pub use filter::Filter;
pub use guard::Loss;
pub use member::{Fields, Member, Quarantine};
pub use moment::Moment;
pub use needs::Needs;
pub use plan::{Followed, Plan, TemplatePlan};
pub use publication::{
    Failure, Group, Outcome, Publication, Ran, ReloadJob, Restoration, RosterValue, Seated, Seats, Snapshot, Stage,
};
pub use recall::{Course, Kept, Known, Memo, Origin, Recalled, Recollection};
pub use slots::{Vacancies, Vacant};
