//! The names that templates may use, and suggestions for unknown ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::config::{LOCKS, NEEDS_UNIT, STAGED, UnitPaths, key_name, not_in_unit};
use crate::text::nearest::nearest;

use super::uses::{Ident, Variable};

/// What a name of the configuration refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A roster of a plain path: a list of members.
    List,
    /// A roster of a path with `*`: a map of lists of members.
    Map,
    /// A key: any value.
    Key,
}

/// The lock that a key stands for.
pub fn lock_of(name: &str) -> Option<&str> {
    name.strip_prefix(LOCKS)?.strip_prefix('.')
}

/// The fields of `host`.
pub const HOST_FIELDS: [&str; 3] = ["fqdn", "ip", "name"];

/// The names known at load.
#[derive(Clone, Copy)]
pub struct KnownNames<'a> {
    /// Rosters and keys.
    pub names: &'a BTreeMap<Arc<str>, NameKind>,
    /// `[vars]`.
    pub vars: &'a Map<String, Value>,
    /// The unit of the template, and its files; `None` without a unit.
    pub unit: Option<(&'a str, &'a UnitPaths)>,
    /// Whether `names` and `vars` are complete.
    pub complete: bool,
}

/// The result of looking up a name that is not local.
pub enum Lookup<'a> {
    /// Defined, as far as the load can tell.
    Defined,
    /// Not defined.
    Undefined,
    /// Defined, but without a field that is used.
    UnknownField {
        /// The field.
        field: &'a Ident,
        /// What is wrong.
        message: String,
        /// What to write.
        hint: Option<String>,
    },
}

impl KnownNames<'_> {
    /// Looks up a variable and its fields.
    pub fn lookup<'n>(&self, name: &'n Variable) -> Lookup<'n> {
        match (&*name.ident.text, name.fields.first()) {
            ("host", Some(field)) if !name.guarded && !HOST_FIELDS.contains(&&*field.text) => Lookup::UnknownField {
                field,
                message: format!("host has no {}", field.text),
                hint: Some(format!("its fields are {}", HOST_FIELDS.join(", "))),
            },
            ("vars", Some(_)) if !name.guarded && self.complete => self.var(name),
            (STAGED, Some(field)) if let Some((unit, paths)) = self.unit => self.staged(name, field, unit, paths),
            (STAGED, None) if self.unit.is_some() => Lookup::Defined,
            ("host" | "vars" | "rosters", _) => Lookup::Defined,
            (LOCKS, field) if !self.names.contains_key(LOCKS) && self.has_locks() => self.lock(name, field),
            (text, field) => match (self.names.get(text), field) {
                (None, _) if !self.complete => Lookup::Defined,
                (None, _) => Lookup::Undefined,
                (Some(NameKind::List), Some(field)) => Lookup::UnknownField {
                    field,
                    message: format!("{text} is a list of members and has no {}", field.text),
                    hint: Some(format!(
                        "loop over it: {{% for m in {text} %}}{{{{ m.{} }}}}{{% endfor %}}",
                        field.text
                    )),
                },
                _ => Lookup::Defined,
            },
        }
    }

    fn has_locks(&self) -> bool {
        self.names.keys().any(|name| lock_of(name).is_some())
    }

    /// Looks up `locks.NAME`.
    fn lock<'n>(&self, name: &'n Variable, field: Option<&'n Ident>) -> Lookup<'n> {
        let Some(field) = field.filter(|_| !name.guarded && self.complete) else { return Lookup::Defined };
        if self.names.contains_key(&*key_name(&field.text)) {
            return Lookup::Defined;
        }
        let known: Vec<&str> = self.names.keys().filter_map(|name| lock_of(name)).collect();
        let message = format!("no [[lock]] is named {}", field.text);
        Lookup::UnknownField { field, message, hint: Some(format!("available: {}", known.join(", "))) }
    }

    /// Looks up `staged.NAME`.
    fn staged<'n>(&self, name: &'n Variable, field: &'n Ident, unit: &str, paths: &UnitPaths) -> Lookup<'n> {
        if paths.contains_key(&*field.text) || name.guarded || !self.complete {
            return Lookup::Defined;
        }
        // `staged.b.map` is meant as the file of the template "b.map".
        let parts = name.fields.iter().map(|field| &*field.text).collect::<Vec<_>>();
        let wrong = not_in_unit(unit, &field.text, &parts.join("."), paths.keys().map(|name| &**name));
        Lookup::UnknownField { field, message: wrong.message, hint: wrong.hint }
    }

    /// Looks up `vars.a.b`.
    fn var<'n>(&self, name: &'n Variable) -> Lookup<'n> {
        let mut table = self.vars;
        let mut path = "vars".to_owned();
        for field in &name.fields {
            let Some(value) = table.get(&field.text) else {
                let near = nearest(&field.text, table.keys().map(String::as_str));
                let hint = near.map_or_else(|| "set it under [vars] in the configuration".to_owned(), did_you_mean);
                return Lookup::UnknownField {
                    field,
                    message: format!("{path} has no {}", field.text),
                    hint: Some(hint),
                };
            };
            path = format!("{path}.{}", field.text);
            match value {
                Value::Object(inner) => table = inner,
                _ => break,
            }
        }
        Lookup::Defined
    }

    /// The hint for an unknown name.
    pub fn hint<'n>(&'n self, name: &str, local: impl Iterator<Item = &'n str>) -> String {
        match name {
            "__tera_context" => return "use the names of the rosters".to_owned(),
            STAGED => return NEEDS_UNIT.to_owned(),
            "loop" => return "loop is available only inside a for".to_owned(),
            "env" => {
                return "set a variable under [vars] in the configuration, where {{ env.X }} is available".to_owned();
            }
            _ => {}
        }
        let names = self.names.keys().map(|name| &**name).filter(|name| lock_of(name).is_none());
        let locks = self.has_locks().then_some(LOCKS);
        let all: Vec<&str> = names.chain(locks).chain(["host", "rosters", "vars"]).collect();
        match nearest(name, all.iter().copied().chain(local)) {
            Some(near) => did_you_mean(near),
            None => format!("available: {}", all.join(", ")),
        }
    }
}

/// Names of filters in other template languages, with the equivalent here.
const OTHER_NAMES: [(&str, &str); 14] = [
    ("basename", "base"),
    ("dirname", "dir"),
    ("filter", "where"),
    ("groupby", "group_by"),
    ("json_encode", "json"),
    ("map", "pluck"),
    ("quote", "shell"),
    ("selectattr", "where"),
    ("sortBy", "sort_by"),
    ("sortby", "sort_by"),
    ("toJSON", "json"),
    ("toYAML", "yaml"),
    ("to_json", "json"),
    ("tojson", "json"),
];

/// The hint for an unknown filter, test or function.
pub fn builtin_hint(kind: &str, name: &str, all: &[&str]) -> String {
    if kind == "function" && matches!(name, "now" | "get_env" | "get_random" | "getenv" | "env") {
        return "functions that vary between renders are not available: the same members always give the same file"
            .to_owned();
    }
    if kind == "filter"
        && let Some((_, ours)) = OTHER_NAMES.iter().find(|(other, _)| *other == name)
    {
        return did_you_mean(ours);
    }
    let near = nearest(name, all.iter().copied()).map(did_you_mean);
    // A set, because some of our filters replace one of Tera with the same name.
    let sorted = || all.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    near.unwrap_or_else(|| format!("available: {}", sorted().join(", ")))
}

/// Rewrites the message of Tera about an unexpected delimiter that rosterd added.
pub fn in_place_of(message: &str, bracket: &str) -> String {
    message.replace(&format!("Found `{bracket}` but"), "the expression ends here, but Tera")
}

/// `did you mean x?`
pub fn did_you_mean(name: &str) -> String {
    format!("did you mean {name}?")
}
