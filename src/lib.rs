//! rosterd keeps the config files of other software in step with the members that ZooKeeper lists.
//!
//! Data goes one way: **watch → decide → act**. [`watch`] reports what registries hold. [`decide`] turns reports into
//! effects. [`act`] carries effects out, and each outcome goes back to [`decide`] as an input.
//!
//! # Modules
//! - [`cli`]: one file a command
//! - [`agent`]: the event loop, its executor, the supervised program, signals and the end
//! - [`config`]: the configuration as written, then resolved; problems with carets
//! - [`load`]: configuration, templates and host read and checked together, at a start and at a HUP
//! - [`zk`]: the ZooKeeper client; knows no rosters
//! - [`http`]: the HTTP client
//! - [`http_server`]: what the HTTP servers have in common: limits, allowed hosts, HTML
//! - [`jones`]: Jones's configuration trees: paths, associations, views
//! - [`watch`]: registries, in ZooKeeper, in a directory or in a web object, as a stream of events
//! - [`model`]: node paths, members, versions and registry events
//! - [`payload`]: the bytes of a node as a member, one file a format
//! - [`decide`]: the engine, rosters, the guard, slots, templates, pending reloads, the supervised program
//! - [`render`]: Tera templates, checked at load; a snapshot as bytes
//! - [`act`]: `files` places, replaces and restores files; `process` runs checks, reloads and the program
//! - [`state`]: what is kept across restarts: the journal, last known-good members, owned files, the lock
//! - [`history`]: what changed and who asked for it, and the last contents of each file
//! - [`fswatch`]: watches on templates and destinations
//! - [`control`]: the control socket, its protocol and its client
//! - [`serve`]: HTTP: the state as a page and as JSON, the events, and checks for monitoring
//! - [`migrate`]: the configuration and templates of other tools as those of rosterd
//! - [`locks`]: the locks that this agent contends for, in the sessions of its registries
//! - [`register`]: the services of this host: their checks, and their nodes in the registry
//! - [`report`]: the engine's report in words: `status` and `explain`
//! - [`metrics`]: counters of events and the state of the agent, as Prometheus reads them
//! - [`log`]: one line for each event, and the stream of events
//! - [`error`]: errors that end the program, and errors that are retried; exit codes
//! - [`text`]: helpers on text
//!
//! # Invariants
//! - `decide` is pure: no clock, file, process or task. Time comes in with every input.
//! - Absent, unreadable and empty are three facts. What could not be read is never an empty list.
//! - A file is replaced only after its check passed, and a reader sees all of the old bytes or all of the new bytes.
//! - One thread writes files, and only while this process holds the lock on the state directory.
//! - Whatever happens to a roster, template, reload, session or program is a `decide::Event`, and is logged once.
//! - `status` and `explain` read the engine's report, never the engine.
//! - No two files import each other, directly or through others; only a child imports what is above it.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod act;
mod agent;
mod cli;
mod config;
mod control;
mod decide;
mod error;
mod fswatch;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod history;
mod http;
mod http_server;
mod jones;
mod load;
mod locks;
mod log;
mod metrics;
mod migrate;
mod model;
mod payload;
mod register;
mod render;
mod report;
mod serve;
mod state;
#[cfg(test)]
#[allow(dead_code, reason = "the tests of the binary use the rest")]
#[path = "../tests/support/mod.rs"]
mod support;
#[cfg(test)]
mod tests;
mod text;
mod watch;
mod zk;

pub use cli::main;
