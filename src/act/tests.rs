//! Tests of `act` with real files, real commands and a real kernel: one module for each promise.

mod attack;
mod bench;
mod blocks;
mod commands;
mod faults;
mod files;
mod journals;
mod lock;
mod order;
mod placing;
mod readers;
mod recovery;
mod reloads;
mod rollback;
mod rounds;
mod unit_checks;
mod units;

/// An engine with a test clock, for tests that combine decisions with files.
use crate::decide::engine::tests::harness as engine;
