//! The real binary against real servers, one file a feature.

mod harness;
mod main_job;
mod once;
mod registry;
