//! The words of the domain, pure: node paths, members, versions, and what a registry reports. Nothing here imports
//! another room.

pub mod backoff;
pub mod digest;
pub mod filter;
pub mod member;
pub mod node_path;
pub mod registry_event;
pub mod version;
