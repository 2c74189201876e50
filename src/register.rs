//! Registers the services of this host in ZooKeeper while their checks pass.
//!
//! `decide::service` says when a service is up, and `decide::registration` which node to write or delete next. This
//! module runs the checks and the writes, and keeps what the next process needs to continue the session.

pub mod checks;
mod event;
pub mod node;
mod nodes;
pub mod registrar;
mod running;
mod writer;

pub use event::RegistrarEvent;
pub use registrar::Registrar;
