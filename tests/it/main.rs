//! The real binary against real servers, one file a feature.

#[macro_use]
mod web;

mod block;
mod choice;
mod cost;
mod drift;
mod each;
mod ensemble;
mod events;
mod exec;
mod faults;
mod formats;
mod guard;
mod haproxy;
mod harness;
mod isolate;
mod main_job;
mod memory;
mod once;
mod quickstart;
mod reach;
mod registry;
mod reloads;
mod telling;
#[path = "../../src/testing.rs"]
#[allow(dead_code, reason = "each of its functions is for some of the tests")]
mod testing;
mod units;
mod wrong;
mod zookeeper_client;
