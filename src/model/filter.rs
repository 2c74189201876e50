//! `where`: which members of a path a roster includes.

use std::fmt;
use std::sync::Arc;

use super::member::Member;

/// Whether a member matches, or why that cannot be decided.
type Predicate = dyn Fn(&Member) -> Result<bool, String> + Send + Sync;

/// The `where` of a roster. The `render` module compiles it, so this module does not depend on Tera.
#[derive(Clone)]
pub struct Filter {
    text: Arc<str>,
    inputs: u64,
    predicate: Arc<Predicate>,
}

impl Filter {
    /// A filter. `inputs` is a digest of everything else that its results depend on: filters with the same text and the
    /// same digest are equal.
    pub fn new(
        text: impl Into<Arc<str>>,
        inputs: u64,
        predicate: impl Fn(&Member) -> Result<bool, String> + Send + Sync + 'static,
    ) -> Self {
        Self { text: text.into(), inputs, predicate: Arc::new(predicate) }
    }

    /// Whether a member matches.
    ///
    /// # Errors
    /// Why that cannot be decided for this member.
    pub fn matches(&self, member: &Member) -> Result<bool, String> {
        (self.predicate)(member)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.inputs) == (&other.text, other.inputs)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({:?}, {})", self.text, self.inputs)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
