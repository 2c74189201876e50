//! The functions that the fuzz targets run. Each takes any bytes, and panics when a guarantee about them is broken.

#![allow(clippy::expect_used, reason = "a panic is what a fuzzer looks for")]

pub mod config;
pub mod memory;
pub mod migrate;
mod nodes;
pub mod payload;
pub mod render;
pub mod request;
#[cfg(test)]
mod tests;

pub use crate::watch::zookeeper::any_ensemble as ensemble;
pub use crate::zk::fuzzing::replies;
