//! The configuration, its templates and this host, read together and checked: what a start and a HUP take up.

pub mod host;
pub mod loader;
pub mod setup;
