//! What templates may name, and what a name that is not there was probably meant to be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::text::nearest::nearest;

use super::uses::{Name, Word};

/// What stands behind a name of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A roster of a plain path: a list of members.
    List,
    /// A roster of a path with `*`: a map of lists of members.
    Map,
    /// A key: whatever its node holds.
    Key,
}

/// The fields of `host`.
pub const HOST: [&str; 3] = ["fqdn", "ip", "name"];

/// All that is known before there are members.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Rosters and keys.
    pub names: &'a BTreeMap<Arc<str>, NameKind>,
    /// `[vars]`.
    pub vars: &'a Map<String, Value>,
    /// Whether that is all.
    pub complete: bool,
}

/// Whether a name that has no local value is there.
pub enum Found<'a> {
    /// It is, as far as can be known.
    Right,
    /// It is not.
    Unknown,
    /// It is, and a field asked of it is not.
    Wrong {
        /// The field.
        field: &'a Word,
        /// What is wrong.
        message: String,
        /// What to write.
        hint: Option<String>,
    },
}

impl Known<'_> {
    /// Looks a name up, with the fields asked of it.
    pub fn find<'n>(&self, name: &'n Name) -> Found<'n> {
        match (&*name.word.text, name.fields.first()) {
            ("host", Some(field)) if !name.guarded && !HOST.contains(&&*field.text) => Found::Wrong {
                field,
                message: format!("host has no {}", field.text),
                hint: Some(format!("it has {}", HOST.join(", "))),
            },
            ("vars", Some(_)) if !name.guarded && self.complete => self.var(name),
            ("host" | "vars" | "rosters", _) => Found::Right,
            (text, field) => match (self.names.get(text), field) {
                (None, _) if !self.complete => Found::Right,
                (None, _) => Found::Unknown,
                (Some(NameKind::List), Some(field)) => Found::Wrong {
                    field,
                    message: format!("{text} is a list of members and has no {}", field.text),
                    hint: Some(format!(
                        "loop over it: {{% for m in {text} %}}{{{{ m.{} }}}}{{% endfor %}}",
                        field.text
                    )),
                },
                _ => Found::Right,
            },
        }
    }

    /// `vars.a.b`, as far down as there are tables.
    fn var<'n>(&self, name: &'n Name) -> Found<'n> {
        let mut table = self.vars;
        let mut path = "vars".to_owned();
        for field in &name.fields {
            let Some(value) = table.get(&field.text) else {
                let near = nearest(&field.text, table.keys().map(String::as_str));
                let hint = near.map_or_else(|| "set it under [vars] in the configuration".to_owned(), did_you_mean);
                return Found::Wrong { field, message: format!("{path} has no {}", field.text), hint: Some(hint) };
            };
            path = format!("{path}.{}", field.text);
            match value {
                Value::Object(inner) => table = inner,
                _ => break,
            }
        }
        Found::Right
    }

    /// What to write instead of a name that is not there.
    pub fn hint<'n>(&'n self, name: &str, local: impl Iterator<Item = &'n str>) -> String {
        match name {
            "__tera_context" => return "name the rosters that you want to see".to_owned(),
            "loop" => return "loop is there inside of a for only".to_owned(),
            "env" => {
                return "put the value under [vars] in the configuration, where {{ env.X }} is filled in".to_owned();
            }
            _ => {}
        }
        let all: Vec<&str> = self.names.keys().map(|name| &**name).chain(["host", "rosters", "vars"]).collect();
        match nearest(name, all.iter().copied().chain(local)) {
            Some(near) => did_you_mean(near),
            None => format!("there are: {}", all.join(", ")),
        }
    }
}

/// What other template languages call a filter.
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

/// What to write instead of a filter, test or function that is not there.
pub fn word_hint(kind: &str, name: &str, all: &[&str]) -> String {
    if kind == "function" && matches!(name, "now" | "get_env" | "get_random" | "getenv" | "env") {
        return "what varies without cause is not there: the same members always give the same file".to_owned();
    }
    if kind == "filter"
        && let Some((_, ours)) = OTHER_NAMES.iter().find(|(other, _)| *other == name)
    {
        return did_you_mean(ours);
    }
    let near = nearest(name, all.iter().copied()).map(did_you_mean);
    // Some of ours stand in for Tera's of the same name.
    let sorted = || all.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    near.unwrap_or_else(|| format!("there are: {}", sorted().join(", ")))
}

/// Tera's words for a place where something else was expected, without the bracket that nobody wrote.
pub fn in_place_of(message: &str, bracket: &str) -> String {
    message.replace(&format!("Found `{bracket}` but"), "it ends here, and Tera")
}

/// `did you mean x?`
pub fn did_you_mean(name: &str) -> String {
    format!("did you mean {name}?")
}
