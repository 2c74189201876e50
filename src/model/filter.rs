//! `where`: which members of a path are taken at all.

use std::fmt;
use std::sync::Arc;

use super::member::Member;

/// Whether a member is one to take, or why that cannot be told.
type Test = dyn Fn(&Member) -> Result<bool, String> + Send + Sync;

/// A roster's `where`, ready to be asked. It is made where templates are, so that nothing here knows their language.
#[derive(Clone)]
pub struct Filter {
    text: Arc<str>,
    with: u64,
    test: Arc<Test>,
}

impl Filter {
    /// The filter that is written so; `with` is a number for all else that its answers depend on. Two filters with the
    /// same text and the same number are one and the same.
    pub fn new(
        text: impl Into<Arc<str>>,
        with: u64,
        takes: impl Fn(&Member) -> Result<bool, String> + Send + Sync + 'static,
    ) -> Self {
        Self { text: text.into(), with, test: Arc::new(takes) }
    }

    /// Whether this member is one to take.
    ///
    /// # Errors
    /// Says why that cannot be told of this member.
    pub fn takes(&self, member: &Member) -> Result<bool, String> {
        (self.test)(member)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.with) == (&other.text, other.with)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({:?}, {})", self.text, self.with)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
