//! The real binary against real servers, one file a feature.

mod cost;
mod each;
mod ensemble;
mod exec;
mod faults;
mod formats;
mod haproxy;
mod harness;
mod main_job;
mod memory;
mod once;
mod quickstart;
mod reach;
mod registry;
mod telling;
mod wrong;
