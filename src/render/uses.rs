//! The names that a template file uses: the result of `scan` and the input of `validate`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Local names, each with the name that its values come from.
pub type Scope = BTreeMap<String, Option<String>>;

/// A name and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ident {
    /// The name.
    pub text: String,
    /// Its byte range in the template.
    pub span: Range<usize>,
}

/// A use of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The variable.
    pub ident: Ident,
    /// The literal accesses after it: `.a.b` and `["a"]`.
    pub fields: Vec<Ident>,
    /// Whether a `for`, a `set` or an argument defines it here.
    pub local: bool,
    /// Whether it may be undefined: `?.`, `default` or a test for being defined follows, or the fragment tests it
    /// elsewhere.
    pub guarded: bool,
    /// Whether a test for being defined follows.
    pub tested: bool,
    /// The name, not local here, that its values come from; `None` if it is unknown, or if its port may be missing. The arguments of a component, and what an including template defines, stand for themselves.
    pub origin: Option<String>,
}

impl Variable {
    /// The path: the variable and its fields.
    fn path(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.ident).chain(&self.fields).map(|ident| &*ident.text)
    }

    /// If it is a port that must not be missing, the name that the values come from.
    pub fn port_of(&self) -> Option<&str> {
        self.origin.as_deref().filter(|_| !self.guarded && self.is_port())
    }

    fn is_port(&self) -> bool {
        matches!(&self.fields[..], [field] if field.text == "port")
    }

    /// Whether it is `host.fqdn`, or `host` as a whole.
    pub fn is_fqdn(&self) -> bool {
        self.ident.text == "host" && self.fields.first().is_none_or(|field| field.text == "fqdn")
    }
}

/// A use of another template or of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The name of the template or the component.
    pub ident: Ident,
    /// The local names in scope, with their origins.
    pub scope: Scope,
    /// The names in the call of a component, or their origins.
    pub arguments: BTreeSet<String>,
}

/// The text outside of components, or the body of one component.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fragment {
    /// Variables.
    pub variables: Vec<Variable>,
    /// `{% include %}`s.
    pub includes: Vec<Call>,
    /// `<component />`s.
    pub calls: Vec<Call>,
    /// The names that a `set` in it defines.
    pub sets: BTreeSet<String>,
    /// Every name that is local somewhere in it.
    pub locals: BTreeSet<String>,
}

impl Fragment {
    /// Marks every use of a tested path as guarded. Only rendering can tell which branch runs and what a stored test
    /// result means, so a test applies to the whole fragment.
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

impl Fragment {
    /// Ends an `if` for the port of a variable. If it shows the port alone, or has an `else` that shows the rest, the port
    /// may be missing: `{% if m.port %}:{{ m.port }}{% endif %}`. Otherwise it leaves out the whole member.
    pub fn end_port(&mut self, name: &str, from: usize, other: Option<usize>) {
        let all = self.variables.get_mut(from..).unwrap_or_default();
        let (shown, others) = all.split_at(other.map_or(all.len(), |other| other.saturating_sub(from)).min(all.len()));
        let has_rest = |part: &[Variable]| part.iter().any(|it| it.ident.text == name && !it.is_port());
        if !has_rest(shown) || has_rest(others) {
            for it in all.iter_mut().filter(|it| it.ident.text == name) {
                it.origin = None;
            }
        }
    }
}

/// `{% component %}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The arguments written `@name`, which default to the value at the call.
    pub implicit: Vec<Ident>,
    /// Its body.
    pub body: Fragment,
}

/// All names that one template file uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// The text outside of components.
    pub body: Fragment,
    /// Components by name.
    pub components: BTreeMap<String, Component>,
    /// `{% extends %}`.
    pub extends: Option<Ident>,
    /// Filters.
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
