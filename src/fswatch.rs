//! Watches on the local file system: templates that are edited, and destinations that another tool changes.

pub mod debounce;
pub mod dests;
pub mod templates;
