//! The decisions, with hand-made time: no file, no process, no clock.

mod choice;
mod drift;
mod each;
mod edges;
mod events;
mod formats;
mod guard;
pub mod harness;
mod isolate;
mod owed;
mod picks;
mod program;
mod restored;
mod rollback;
mod rules;
mod sequences;
mod size;
mod slots;
mod telling;
mod truth;
mod units;
