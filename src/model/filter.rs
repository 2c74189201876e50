//! `where`: which members and keys of a path a roster includes.

use std::fmt;
use std::sync::Arc;

use super::member::Member;

/// Whether a member of a key matches, or why that cannot be decided.
type Predicate = dyn Fn(&str, &Member) -> Result<bool, String> + Send + Sync;

/// Whether a key matches.
type KeyPredicate = dyn Fn(&str) -> bool + Send + Sync;

/// The `where` of a roster. The `render` module compiles it, so this module does not depend on Tera.
#[derive(Clone)]
pub struct Filter {
    text: Arc<str>,
    inputs: u64,
    predicate: Arc<Predicate>,
    /// `None` if the text does not choose keys.
    key_predicate: Option<Arc<KeyPredicate>>,
}

impl Filter {
    /// A filter. `inputs` is a digest of everything else that its results depend on: filters with the same text and the
    /// same digest are equal.
    pub fn new(
        text: impl Into<Arc<str>>,
        inputs: u64,
        predicate: impl Fn(&str, &Member) -> Result<bool, String> + Send + Sync + 'static,
    ) -> Self {
        Self { text: text.into(), inputs, predicate: Arc::new(predicate), key_predicate: None }
    }

    /// The same filter, which also chooses keys.
    #[must_use]
    pub fn with_keys(self, predicate: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { key_predicate: Some(Arc::new(predicate)), ..self }
    }

    /// Whether a member matches. `key` is its key, or the empty string in a roster without keys.
    ///
    /// # Errors
    /// Why that cannot be decided for this member.
    pub fn matches(&self, key: &str, member: &Member) -> Result<bool, String> {
        (self.predicate)(key, member)
    }

    /// Whether a key may have members that match.
    pub fn matches_key(&self, key: &str) -> bool {
        self.key_predicate.as_ref().is_none_or(|predicate| predicate(key))
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
