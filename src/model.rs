//! The data types that all modules share: node paths, members, versions and registry events. It imports no other
//! module.

pub mod backoff;
pub mod contenders;
pub mod digest;
pub mod filter;
pub mod member;
pub mod node_path;
pub mod quarantine;
pub mod registration;
pub mod registry_event;
pub mod saved_view;
pub mod service_data;
pub mod version;
