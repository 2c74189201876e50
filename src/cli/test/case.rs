//! A test case as written in TOML, and the views that its members are.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::Config;
use crate::load::host::{Host, ThisHost};
use crate::model::node_path::Subject;
use crate::model::registry_event::{Members, NodeContent, Seen, View};
use crate::model::saved_view::SavedViews;

/// A file with cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    #[serde(rename = "case", default)]
    cases: Vec<Case>,
}

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// For messages.
    pub name: String,
    /// The name of the template, or `NAME[KEY]` for a file of a template with `each`.
    pub template: String,
    /// A file of `get --save` with members.
    from: Option<PathBuf>,
    /// Replaces variables of `[vars]`.
    #[serde(default)]
    pub vars: Map<String, Value>,
    #[serde(default)]
    host: CaseHost,
    /// The nodes of rosters by the name of the roster.
    #[serde(default)]
    members: BTreeMap<String, Value>,
    /// The data of `[[key]]`s by name.
    #[serde(default)]
    keys: BTreeMap<String, Value>,
    /// All bytes of the file.
    expected: Option<String>,
    /// A file with all bytes of the file.
    expected_file: Option<PathBuf>,
    /// Texts that the file contains.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Texts that the file does not contain.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// The file is held, for a reason that contains this.
    pub hold: Option<Reason>,
    /// The file cannot be rendered, for a reason that contains this.
    pub error: Option<Reason>,
}

/// The host of a case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CaseHost {
    name: String,
    fqdn: String,
    ip: IpAddr,
}

impl Default for CaseHost {
    fn default() -> Self {
        // RFC 2606 and RFC 5737.
        Self { name: "host".into(), fqdn: "host.example.com".into(), ip: Ipv4Addr::new(192, 0, 2, 1).into() }
    }
}

/// What an expected reason contains.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Reason {
    /// `true`: any reason.
    Any(bool),
    /// A reason with this text.
    Text(String),
}

impl Reason {
    /// Whether a reason is as expected.
    pub fn matches(&self, reason: &str) -> bool {
        match self {
            Self::Any(_) => true,
            Self::Text(text) => reason.contains(text.as_str()),
        }
    }
}

impl Case {
    /// Reads the cases of a file.
    ///
    /// # Errors
    /// The file cannot be read or is invalid, or a case expects nothing.
    pub fn read(file: &Path) -> Result<Vec<Self>, String> {
        let text = std::fs::read_to_string(file).map_err(|why| why.to_string())?;
        let mut cases = toml::from_str::<CaseFile>(&text).map_err(|why| why.to_string())?.cases;
        for case in &mut cases {
            case.hold.take_if(|reason| matches!(reason, Reason::Any(false)));
            case.error.take_if(|reason| matches!(reason, Reason::Any(false)));
            case.check().map_err(|why| format!("case {:?}: {why}", case.name))?;
        }
        Ok(cases)
    }

    fn check(&self) -> Result<(), &'static str> {
        let is_file = self.expected.is_some()
            || self.expected_file.is_some()
            || !self.contains.is_empty()
            || !self.lacks.is_empty();
        let kinds = [is_file, self.hold.is_some(), self.error.is_some()];
        match kinds.into_iter().filter(|is_set| *is_set).count() {
            0 => Err("it expects nothing: add expected, expected_file, contains, lacks, hold or error"),
            1 if self.expected.is_some() && self.expected_file.is_some() => {
                Err("expected and expected_file exclude each other")
            }
            1 => Ok(()),
            _ => Err("hold, error and the content of a file exclude each other"),
        }
    }

    /// All bytes that the file is to have, if the case has them.
    ///
    /// # Errors
    /// `expected_file` cannot be read.
    pub fn expected(&self, base: &Path) -> Result<Option<Vec<u8>>, String> {
        let read = |file: &PathBuf| {
            let file = base.join(file);
            std::fs::read(&file).map_err(|why| format!("cannot read {}: {why}", file.display()))
        };
        let written = self.expected.as_ref().map(|text| text.clone().into_bytes());
        written.map_or_else(|| self.expected_file.as_ref().map(read).transpose(), |bytes| Ok(Some(bytes)))
    }

    /// The host that templates see.
    pub fn host(&self) -> ThisHost {
        let CaseHost { name, fqdn, ip } = self.host.clone();
        ThisHost::from(Host { name, fqdn, ip })
    }

    /// What the registries hold.
    ///
    /// # Errors
    /// A roster or key does not exist, or its members are not written as they have to be.
    pub fn views(&self, config: &Config, base: &Path) -> Result<SavedViews, String> {
        let mut views = match &self.from {
            None => SavedViews::default(),
            Some(file) => {
                let file = base.join(file);
                let read = std::fs::read(&file).map_err(|why| why.to_string());
                let read = read.and_then(|bytes| SavedViews::parse(&bytes));
                read.map_err(|why| format!("cannot use {}: {why}", file.display()))?
            }
        };
        for (name, value) in &self.members {
            let roster = config.rosters.iter().find(|roster| *roster.name == **name);
            let roster = roster.ok_or_else(|| {
                let known: Vec<&str> = config.rosters.iter().map(|roster| &*roster.name).collect();
                format!("members.{name}: no roster is named {name}; known rosters: {}", known.join(", "))
            })?;
            let view = members(&roster.subject, value).map_err(|why| format!("members.{name}: {why}"))?;
            views.insert(&roster.registry, &roster.subject, &view);
        }
        for (name, value) in &self.keys {
            let key = config.keys.iter().find(|key| *key.name == **name);
            let key = key.ok_or_else(|| format!("keys.{name}: no key is named {name}"))?;
            let view = View::of_node(&key.subject, Seen::Present(data(value).into()));
            views.insert(&key.registry, &key.subject, &view);
        }
        Ok(views)
    }
}

/// The view of a roster. One with `*` has a table by key.
fn members(subject: &Subject, value: &Value) -> Result<View, String> {
    let Subject::Keyed { .. } = subject else {
        return nodes(value).map(|nodes| View::Members(Seen::Present(nodes)));
    };
    let keys = value.as_object().ok_or("write a table of members by key: the path has a *")?;
    let one = |(key, value): (&String, &Value)| {
        if !subject.is_key(key) {
            return Err(format!("{key:?} does not match {subject}"));
        }
        Ok((Arc::from(key.as_str()), Seen::Present(nodes(value).map_err(|why| format!("{key}: {why}"))?)))
    };
    Ok(View::Keyed(Seen::Present(keys.iter().map(one).collect::<Result<_, String>>()?)))
}

/// The nodes of a path: an array of names, or a table of data by name.
fn nodes(value: &Value) -> Result<Members, String> {
    let wrong = || "write an array of node names, or a table of data by node name".to_owned();
    match value {
        Value::Array(names) => {
            let node =
                |name: &Value| Ok((Arc::from(name.as_str().ok_or_else(wrong)?), Ok(NodeContent::ephemeral(*b""))));
            names.iter().map(node).collect()
        }
        Value::Object(nodes) => {
            let node =
                |(name, value): (&String, &Value)| (Arc::from(name.as_str()), Ok(NodeContent::ephemeral(data(value))));
            Ok(nodes.iter().map(node).collect())
        }
        _ => Err(wrong()),
    }
}

/// The data of a node: text as it is, anything else as JSON.
fn data(value: &Value) -> Vec<u8> {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned).into_bytes()
}
