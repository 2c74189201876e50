//! What a template file names: the words in which `scan` answers `vet`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A name and its place in the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The name.
    pub text: String,
    /// Its bytes in the template.
    pub span: Range<usize>,
}

/// A variable that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The variable.
    pub word: Word,
    /// `.a.b` and `["a"]` behind it, as far as they are literal.
    pub fields: Vec<Word>,
    /// A `for`, a `set` or an argument here gives it its value.
    pub local: bool,
    /// It may be missing: `?.`, `default`, or a test for being defined follows, or such a test of it stands in the part.
    pub guarded: bool,
    /// A test for being defined follows.
    pub tested: bool,
}

impl Name {
    /// The variable and its fields.
    fn path(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.word).chain(&self.fields).map(|word| &*word.text)
    }

    /// Whether it is `host.fqdn`, or `host` as a whole.
    pub fn is_fqdn(&self) -> bool {
        self.word.text == "host" && self.fields.first().is_none_or(|field| field.text == "fqdn")
    }
}

/// Another template, or a component, and the names that have local values at that point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which one.
    pub word: Word,
    /// The local names there.
    pub scope: BTreeSet<String>,
}

/// A piece that is rendered by itself: what stands outside of components, or one component's body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// Variables.
    pub names: Vec<Name>,
    /// `{% include %}`s.
    pub includes: Vec<Call>,
    /// `<component />`s.
    pub calls: Vec<Call>,
    /// What `set` gives a value anywhere in it.
    pub sets: BTreeSet<String>,
    /// Every name that has a local value somewhere in it.
    pub locals: BTreeSet<String>,
}

impl Part {
    /// What is tested for being defined anywhere in the part may be missing in all of it: which branch a name stands in,
    /// and what a test that was kept in a variable means, only rendering tells.
    pub fn guard(&mut self) {
        let tested: BTreeSet<Vec<String>> =
            self.names.iter().filter(|name| name.tested).map(|name| name.path().map(str::to_owned).collect()).collect();
        for name in &mut self.names {
            name.guarded |= tested.iter().any(|path| {
                let mut own = name.path();
                path.iter().all(|part| own.next() == Some(part))
            });
        }
    }
}

/// `{% component %}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The arguments that are taken from around the call when it does not give them: `@name`.
    pub implicit: Vec<Word>,
    /// Its body.
    pub body: Part,
}

/// All that one template file names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// What stands outside of components.
    pub body: Part,
    /// Components by name.
    pub components: BTreeMap<String, Component>,
    /// `{% extends %}`.
    pub extends: Option<Word>,
    /// Filters, wherever they stand.
    pub filters: Vec<Word>,
    /// Tests.
    pub tests: Vec<Word>,
    /// Functions.
    pub functions: Vec<Word>,
}

impl Uses {
    /// The body and the components' bodies.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.body).chain(self.components.values().map(|component| &component.body))
    }
}
