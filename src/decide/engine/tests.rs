//! The engine's decisions under a test clock, without files or processes.

mod drift;
mod formats;
mod guard;
pub mod harness;
mod inherited_reloads;
mod isolate;
mod jones;
mod locks;
mod member_events;
mod non_members;
mod older_views;
mod per_key_files;
mod pins;
mod program;
mod regressions;
mod reports;
mod restored_ensemble;
mod rollback;
mod rules;
mod selection;
mod sequences;
mod size;
mod slots;
mod spread;
mod units;
mod unusable;
mod views;
