//! Watches on the local file system: for edited templates, and for destinations that another process changes.

pub mod debounce;
pub mod dests;
pub mod templates;
