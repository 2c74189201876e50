//! What a template is rendered from.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The rosters and keys that a template or its includes name. It is rendered when one of them changes, and waits until
/// each has had a known-good view.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// Their names.
    pub names: BTreeSet<Arc<str>>,
    /// It uses `rosters`, and so depends on every roster.
    pub all: bool,
    /// It reads the port of members, and says nothing of those without one (`default`).
    pub reads_port: bool,
}
