//! Loads and checks the configuration, its templates and the facts about this host, at the start and on HUP.

pub mod host;
pub mod loader;
pub mod setup;
