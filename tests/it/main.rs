//! The real binary against real servers, one file a feature.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what went wrong by failing")]

mod ensemble;
mod haproxy;
mod harness;
mod main_job;
mod once;
mod quickstart;
mod registry;
mod wrong;
