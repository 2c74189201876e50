//! What a template is rendered from.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The rosters and keys that a template names, itself or in what it includes: it is rendered when one of them changes,
/// and it waits until each of them had a good view.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// By name.
    pub names: BTreeSet<Arc<str>>,
    /// It names `rosters`, and so depends on every roster.
    pub all: bool,
}
