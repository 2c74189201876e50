//! The real binary against real servers, one file a feature.

mod harness;
mod registry;
