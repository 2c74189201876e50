//! The harness: a directory for each test, the agent, and real servers on free loopback ports.

pub mod backend;
pub mod browser;
pub mod exhibitor;
pub mod file_watch;
pub mod floor;
pub mod haproxy;
pub mod meter;
pub mod nginx;
pub mod postgres;
pub mod scene;
pub mod site;
pub mod systemd;
pub mod usage;
