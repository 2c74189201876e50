//! rosterd keeps the plain config files of off-the-shelf software in step with the live membership that ZooKeeper
//! holds.
//!
//! The folders are the sentence: **watch → decide → act**. Live state comes in through [`watch`], what it means is
//! worked out in [`decide`], files and commands happen in [`act`]. Data goes one way.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod act;
pub mod agent;
pub mod cli;
pub mod config;
pub mod control;
pub mod decide;
pub mod error;
pub mod fswatch;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod load;
pub mod log;
pub mod model;
pub mod payload;
pub mod render;
pub mod report;
pub mod state;
#[cfg(test)]
#[allow(dead_code, reason = "the tests of the binary use the rest")]
#[path = "../tests/support/mod.rs"]
mod support;
#[cfg(test)]
mod tests;
pub mod text;
pub mod watch;
pub mod zk;
