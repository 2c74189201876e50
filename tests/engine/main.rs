//! The decisions, with hand-made time: no file, no process, no clock.

mod harness;
mod rules;
mod sequences;
