//! The act room on real files, real commands and a real kernel, one file a promise.

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
mod reloads;
mod rounds;
mod units;
