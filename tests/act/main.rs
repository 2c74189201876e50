//! The act room on real files, real commands and a real kernel, one file a promise.

mod attack;
mod bench;
mod blocks;
mod commands;
#[path = "../engine/harness.rs"]
#[allow(dead_code, reason = "it serves the tests of the engine first")]
mod engine;
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
#[path = "../../src/testing.rs"]
#[allow(dead_code, reason = "each of its functions is for some of the tests")]
mod testing;
mod units;
