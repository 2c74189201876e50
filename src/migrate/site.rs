//! The configuration that a migration writes: registry, rosters, keys and variables, each with a name of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::config::check_roster_name;

/// Names that a template may not declare, in addition to those that no roster may have.
const RESERVED: [&str; 10] =
    ["key", "members", "staged", "entry", "self", "super", "range", "throw", "break", "continue"];

/// A roster that a template reads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Roster {
    name: String,
    path: String,
    /// Whether children with children, and empty ones, are members too.
    every_child: bool,
    /// Whether templates say what to do without members.
    may_be_empty: bool,
    /// The payload format; `auto` if `None`.
    payload: Option<&'static str>,
}

/// The format of a `[[key]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFormat {
    /// `text`.
    Text,
    /// `json`.
    Json,
    /// `yaml`.
    Yaml,
}

/// The configuration so far.
#[derive(Debug, Default)]
pub struct Site {
    rosters: Vec<Roster>,
    /// Name, path and format.
    keys: Vec<(String, String, KeyFormat)>,
    /// How long changes settle; the default if `None`.
    wait: Option<String>,
    /// The value of each variable.
    vars: BTreeMap<String, String>,
    /// Names of rosters and keys, and of local variables of every template.
    names: BTreeSet<String>,
    locals: BTreeSet<String>,
}

impl Site {
    /// Sets how long changes of every roster settle.
    pub fn set_wait(&mut self, wait: &str) {
        self.wait = Some(wait.to_owned());
    }

    /// The name of the roster of a path, which may have one segment with `*`.
    pub fn roster(&mut self, path: &str, every_child: bool, payload: Option<&'static str>) -> String {
        let same = |it: &&Roster| it.path == path && it.every_child == every_child && it.payload == payload;
        if let Some(known) = self.rosters.iter().find(same) {
            return known.name.clone();
        }
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let wild = segments.iter().position(|part| part.contains('*')).unwrap_or(segments.len());
        let name = self.global(segments[..wild].last().unwrap_or(&"root"));
        let path = path.to_owned();
        self.rosters.push(Roster { name: name.clone(), path, every_child, may_be_empty: false, payload });
        name
    }

    /// Notes that a template says what to do if this roster has no members.
    pub fn may_be_empty(&mut self, name: &str) {
        for roster in self.rosters.iter_mut().filter(|roster| roster.name == name) {
            roster.may_be_empty = true;
        }
    }

    /// The name of the key of a path, and whether it is new.
    pub fn key(&mut self, path: &str, format: KeyFormat) -> (String, bool) {
        if let Some((name, ..)) = self.keys.iter().find(|(_, known, with)| known == path && *with == format) {
            return (name.clone(), false);
        }
        let name = self.global(path.rsplit('/').next().unwrap_or_default());
        self.keys.push((name.clone(), path.to_owned(), format));
        (name, true)
    }

    /// Removes a key that nothing uses.
    pub fn remove_key(&mut self, name: &str) {
        self.keys.retain(|(known, ..)| known != name);
        self.names.remove(name);
    }

    /// The name of the variable for an environment variable.
    pub fn environment(&mut self, name: &str) -> String {
        let var = identifier(&name.to_lowercase());
        self.vars.insert(var.clone(), format!("{{{{ env.{name} }}}}"));
        var
    }

    /// A name for a roster or a key, which no template uses otherwise.
    fn global(&mut self, wanted: &str) -> String {
        let name = self.unused(wanted);
        self.names.insert(name.clone());
        name
    }

    /// A name for a variable of a template. `in_use` are those of the template.
    pub fn local(&mut self, wanted: &str, in_use: &BTreeSet<String>) -> String {
        let mut name = identifier(wanted);
        let mut number = 1;
        while self.names.contains(&name) || in_use.contains(&name) || is_reserved(&name) {
            number += 1;
            name = format!("{}_{number}", identifier(wanted));
        }
        self.locals.insert(name.clone());
        name
    }

    fn unused(&self, wanted: &str) -> String {
        let base = identifier(wanted);
        let names = std::iter::once(base.clone()).chain((2..).map(|number| format!("{base}_{number}")));
        let free = |name: &String| !self.names.contains(name) && !self.locals.contains(name) && !is_reserved(name);
        names.into_iter().find(free).unwrap_or(base)
    }

    /// The configuration as TOML, after the registry.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        if !self.vars.is_empty() {
            let _ = writeln!(out, "\n[vars]");
        }
        for (name, value) in &self.vars {
            let _ = writeln!(out, "{name} = {}", quoted(value));
        }
        for Roster { name, path, every_child, may_be_empty, payload } in &self.rosters {
            let _ = writeln!(out, "\n[[roster]]\nname = {}\npath = {}", quoted(name), quoted(path));
            match (payload, every_child) {
                (Some(payload), true) => {
                    let _ = writeln!(out, "payload = {{ format = \"{payload}\", every_child = true }}");
                }
                (Some(payload), false) => {
                    let _ = writeln!(out, "payload = \"{payload}\"");
                }
                (None, _) => {}
            }
            if *may_be_empty {
                let _ = writeln!(out, "min = 0");
            }
            if let Some(wait) = &self.wait {
                let _ = writeln!(out, "wait = {}", quoted(wait));
            }
        }
        for (name, path, format) in &self.keys {
            let _ = writeln!(out, "\n[[key]]\nname = {}\npath = {}", quoted(name), quoted(path));
            match format {
                KeyFormat::Text => {}
                KeyFormat::Json => out.push_str("format = \"json\"\n"),
                KeyFormat::Yaml => out.push_str("format = \"yaml\"\n"),
            }
        }
        out
    }

    /// What templates read, a line each.
    pub fn shown(&self) -> Vec<String> {
        let rosters = self.rosters.iter().map(|it| format!("[[roster]] `{}`: the nodes below {}", it.name, it.path));
        let keys = self.keys.iter().map(|(name, path, _)| format!("[[key]] `{name}`: the data of {path}"));
        rosters.chain(keys).collect()
    }
}

/// A text as a value in TOML.
pub fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || check_roster_name(name).is_err()
}

/// A name of letters, digits and `_` that does not begin with a digit.
fn identifier(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let plain = plain.trim_matches('_');
    match plain.chars().next() {
        None => "item".to_owned(),
        Some(c) if c.is_ascii_digit() => format!("n{plain}"),
        Some(_) => plain.to_owned(),
    }
}
