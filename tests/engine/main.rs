//! The decisions, with hand-made time: no file, no process, no clock.

mod edges;
mod harness;
mod rules;
mod sequences;
mod truth;
