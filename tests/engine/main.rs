//! The decisions, with hand-made time: no file, no process, no clock.

mod choice;
mod drift;
mod each;
mod edges;
mod events;
mod formats;
mod guard;
mod harness;
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
#[path = "../../src/testing.rs"]
#[allow(dead_code, reason = "each of its functions is for some of the tests")]
mod testing;
mod truth;
mod units;
