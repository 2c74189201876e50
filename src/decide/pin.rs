//! Pins: files that a person rolled back to an earlier generation. The agent keeps that content in the file, and renders
//! nothing else into it, until the person resumes the template.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::moment::Moment;
use crate::model::registry_event::Bytes;

/// A pinned generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its number in the history.
    pub generation: u64,
    /// Its content.
    pub content: Bytes,
    /// Since when the file is pinned.
    pub since: Moment,
    /// The user who asked for it.
    pub uid: u32,
    /// The reason that was given.
    pub reason: Option<String>,
}

/// The pins in force, by template.
pub type Pins = BTreeMap<Arc<str>, Arc<Pin>>;
