//! The real binary against real servers, one file a feature.

#[macro_use]
mod web;

mod block;
mod choice;
mod cost;
mod docs;
mod drift;
mod each;
mod ensemble;
mod events;
mod examples;
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
mod reloads;
mod signals;
#[allow(dead_code, reason = "the unit tests use the rest")]
#[path = "../support/mod.rs"]
mod support;
mod telling;
mod units;
mod wrong;
mod zookeeper_client;
