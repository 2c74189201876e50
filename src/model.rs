//! The data types that every part shares: node paths, members, versions, and what a registry reports. Pure. Nothing here
//! imports another module.

pub mod backoff;
pub mod digest;
pub mod filter;
pub mod member;
pub mod node_path;
pub mod quarantine;
pub mod registry_event;
pub mod version;
