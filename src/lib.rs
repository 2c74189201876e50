//! rosterd keeps the plain config files of off-the-shelf software in step with the live membership that ZooKeeper
//! holds.
//!
//! The folders are the sentence: **watch → decide → act**. Live state comes in through [`watch`], what it means is
//! worked out in [`decide`], files and commands happen in [`act`]. Data goes one way.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod act;
mod backoff;
pub mod book;
pub mod cli;
pub mod config;
pub mod decide;
mod digest;
pub mod drifts;
pub mod edits;
pub mod error;
pub mod host;
pub mod ledger;
pub mod loader;
pub mod log;
pub mod memory;
mod nearest;
pub mod node;
pub mod once;
pub mod pause;
pub mod payload;
pub mod perform;
pub mod registries;
pub mod render;
pub mod run;
pub mod serve;
pub mod setup;
pub mod sighting;
pub mod sources;
pub mod status;
pub mod supervise;
#[cfg(test)]
mod testing;
pub mod verdict;
pub mod watch;
pub mod yaml;
