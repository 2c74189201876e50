//! What a template file names: the words in which `scan` answers `vet`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A name and its place in the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ident {
    /// The name.
    pub text: String,
    /// Its bytes in the template.
    pub span: Range<usize>,
}

/// A variable that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The variable.
    pub ident: Ident,
    /// `.a.b` and `["a"]` behind it, as far as they are literal.
    pub fields: Vec<Ident>,
    /// A `for`, a `set` or an argument here gives it its value.
    pub local: bool,
    /// It may be missing: `?.`, `default`, or a test for being defined follows, or such a test of it stands in the part.
    pub guarded: bool,
    /// A test for being defined follows.
    pub tested: bool,
}

impl Variable {
    /// The variable and its fields.
    fn path(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.ident).chain(&self.fields).map(|ident| &*ident.text)
    }

    /// Whether it is `host.fqdn`, or `host` as a whole.
    pub fn is_fqdn(&self) -> bool {
        self.ident.text == "host" && self.fields.first().is_none_or(|field| field.text == "fqdn")
    }
}

/// Another template, or a component, and the names that have local values at that point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which one.
    pub ident: Ident,
    /// The local names there.
    pub scope: BTreeSet<String>,
}

/// A piece that is rendered by itself: what stands outside of components, or one component's body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fragment {
    /// Variables.
    pub variables: Vec<Variable>,
    /// `{% include %}`s.
    pub includes: Vec<Call>,
    /// `<component />`s.
    pub calls: Vec<Call>,
    /// What `set` gives a value anywhere in it.
    pub sets: BTreeSet<String>,
    /// Every name that has a local value somewhere in it.
    pub locals: BTreeSet<String>,
}

impl Fragment {
    /// What is tested for being defined anywhere in the part may be missing in all of it: which branch a name stands in,
    /// and what a test that was kept in a variable means, only rendering tells.
    pub fn guard(&mut self) {
        let tested: BTreeSet<Vec<String>> = self
            .variables
            .iter()
            .filter(|name| name.tested)
            .map(|name| name.path().map(str::to_owned).collect())
            .collect();
        for name in &mut self.variables {
            name.guarded |= tested.iter().any(|path| {
                let mut own = name.path();
                path.iter().all(|fragment| own.next() == Some(fragment))
            });
        }
    }
}

/// `{% component %}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The arguments that are taken from around the call when it does not give them: `@name`.
    pub implicit: Vec<Ident>,
    /// Its body.
    pub body: Fragment,
}

/// All that one template file names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// What stands outside of components.
    pub body: Fragment,
    /// Components by name.
    pub components: BTreeMap<String, Component>,
    /// `{% extends %}`.
    pub extends: Option<Ident>,
    /// Filters, wherever they stand.
    pub filters: Vec<Ident>,
    /// Tests.
    pub tests: Vec<Ident>,
    /// Functions.
    pub functions: Vec<Ident>,
}

impl Uses {
    /// The body and the components' bodies.
    pub fn fragments(&self) -> impl Iterator<Item = &Fragment> {
        std::iter::once(&self.body).chain(self.components.values().map(|component| &component.body))
    }
}
