//! `[[service]]`: what is registered while its check passes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use toml::de::DeValue;

use super::command::{command, reject_placeholders};
use super::interpolate::Interpolation;
use super::keys::{CHECK, DATA_CMD, SERVICE};
use super::names::Names;
use super::problem::{Problem, ValueError};
use super::registry::Registries;
use super::scalar::json;
use super::table::{Table, Value};
use super::{Command, RegistryConfig, RegistryUrl};
use crate::model::node_path::NodePath;
use crate::model::service_data::ServiceData;

/// One `[[service]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceConfig {
    /// The name in messages.
    pub name: Arc<str>,
    /// The name of the registry.
    pub registry: Arc<str>,
    /// The directory of its node.
    pub path: NodePath,
    /// The host in its node; `None` until the load knows the full name of this host.
    pub host: Option<String>,
    /// The port in its node.
    pub port: u16,
    /// What the node looks like.
    pub format: ServiceFormat,
    /// What the node says beside host and port.
    pub data: ServiceData,
    /// A command whose output is added to the data.
    pub data_cmd: Option<DataCommand>,
    /// How its health is checked.
    pub check: Check,
    /// The time from one check to the next.
    pub interval: Duration,
    /// The time limit of a check.
    pub timeout: Duration,
    /// How many checks in a row have to pass before it is up.
    pub rise: u32,
    /// How many checks in a row have to fail before it is down.
    pub fall: u32,
    /// How long the agent stays after the node was deleted, when it stops.
    pub drain: Duration,
    /// Where it is written.
    #[serde(skip)]
    pub place: Option<Box<Problem>>,
}

/// The form of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceFormat {
    /// `host:port` with JSON, as nd_service_registry and zk_watcher write it.
    Nextdoor,
    /// `member_0000000001`, as Twitter's server sets and finagle write it.
    Serverset,
    /// A sequential node, as `SmartStack`'s nerve writes it.
    Nerve,
    /// An id with a service instance, as Curator's service discovery writes it.
    Curator,
}

/// A command whose output is data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataCommand {
    /// The command.
    pub cmd: Command,
    /// The time from one run to the next.
    pub interval: Duration,
    /// The time limit of a run.
    pub timeout: Duration,
}

/// A check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// A command that exits with 0.
    Cmd(Command),
    /// `host:port` accepts a connection.
    Tcp(String),
    /// A URL answers as expected.
    Http(HttpCheck),
    /// A systemd unit is active.
    Systemd(String),
    /// The process with the PID in a file runs.
    PidFile(PathBuf),
    /// Every one of these passes.
    All(Vec<Check>),
}

/// An HTTP request and the expected reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpCheck {
    /// The URL.
    pub url: String,
    /// The expected status; any from 200 to 299 if `None`.
    pub expect: Option<u16>,
    /// Headers of the request.
    pub headers: BTreeMap<String, String>,
    /// A text that the body contains.
    pub body: Option<String>,
    /// The PEM file of the CA for HTTPS; those of the system if `None`.
    pub ca: Option<PathBuf>,
}

const PATH_EXAMPLE: &str = "\"/services/memcached\"";
const CHECK_EXAMPLE: &str = "{ tcp = \"127.0.0.1:11211\" }";

impl ServiceConfig {
    /// The default of `interval`.
    pub const INTERVAL: Duration = Duration::from_secs(30);
    /// The default of `timeout`.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// A service with the defaults.
    pub fn new(name: &str, registry: &str, path: NodePath, port: u16, check: Check) -> Self {
        Self {
            name: Arc::from(name),
            registry: Arc::from(registry),
            path,
            host: None,
            port,
            format: ServiceFormat::Nextdoor,
            data: ServiceData::default(),
            data_cmd: None,
            check,
            interval: Self::INTERVAL,
            timeout: Self::TIMEOUT,
            rise: 1,
            fall: 2,
            drain: Duration::ZERO,
            place: None,
        }
    }

    /// The same, written at this place.
    #[must_use]
    pub fn placed(self, place: Problem) -> Self {
        Self { place: Some(Box::new(place)), ..self }
    }

    /// A problem where the service is written.
    pub fn problem(&self, wrong: ValueError) -> Problem {
        match self.place.as_deref() {
            Some(place) => Problem { message: wrong.message, hint: wrong.hint, ..place.clone() },
            None => Problem::whole(&*self.name, wrong),
        }
    }
}

/// Reads the services of all files.
pub fn services(tops: &[Table<'_>], fill: &Interpolation<'_>, registries: &Registries) -> Vec<Arc<ServiceConfig>> {
    let mut names = Names::default();
    let tables = tops.iter().filter_map(|top| top.get("service")).flat_map(|value| value.tables(&[&SERVICE]));
    tables.filter_map(|table| service(&table, fill, registries, &mut names)).map(Arc::new).collect()
}

fn service(
    table: &Table<'_>,
    fill: &Interpolation<'_>,
    registries: &Registries,
    names: &mut Names,
) -> Option<ServiceConfig> {
    let directory = table.require("path", PATH_EXAMPLE).and_then(|value| path(&value, fill));
    let port = table.require("port", "11211").and_then(|value| port(&value));
    let check = table.require("check", CHECK_EXAMPLE).and_then(|value| check(&value));
    let registry = registries.named_by(table);
    reject_without_sessions(
        table,
        registries.usable.iter().find(|known| known.name == registry),
        "no service can be registered",
    );
    let written = table.get("name");
    let name = match &written {
        Some(value) => value.text("\"memcached\""),
        None => directory.as_ref().map(NodePath::name),
    };
    let host = table.get("host").and_then(|value| {
        let host = value.filled(fill, "\"mc1.example.com\"")?;
        value.accept(host_name(&host))
    });
    let formats = [
        ("nextdoor", ServiceFormat::Nextdoor),
        ("serverset", ServiceFormat::Serverset),
        ("nerve", ServiceFormat::Nerve),
        ("curator", ServiceFormat::Curator),
    ];
    let format = table.get("format").and_then(|value| value.choice(&formats)).unwrap_or(ServiceFormat::Nextdoor);
    let data = table.get("data").and_then(|value| data(&value, fill)).unwrap_or_default();
    let data_cmd = table.get("data_cmd").and_then(|value| data_cmd(&value));
    let interval = table.get("interval").and_then(|value| value.timeout("\"30s\"")).unwrap_or(ServiceConfig::INTERVAL);
    let timeout = table.get("timeout").and_then(|value| value.timeout("\"10s\"")).unwrap_or(ServiceConfig::TIMEOUT);
    let times = |key, default| table.get(key).and_then(|value| times(&value)).unwrap_or(default);
    let (rise, fall) = (times("rise", 1), times("fall", 2));
    let drain = table.get("drain").and_then(|value| value.duration("\"5s\"")).unwrap_or_default();
    let name = name?;
    names.add(name, "service", written.as_ref(), table);
    let plain = ServiceConfig::new(name, &registry, directory.clone()?, port?, check?);
    let place = table.problem(ValueError::new("", ""));
    Some(ServiceConfig { host, format, data, data_cmd, interval, timeout, rise, fall, drain, ..plain }.placed(place))
}

/// Rejects a service or a lock of a registry that has no sessions.
pub fn reject_without_sessions(table: &Table<'_>, registry: Option<&Arc<RegistryConfig>>, done: &str) {
    let kind = match registry.map(|registry| &registry.url) {
        Some(RegistryUrl::Directory(_)) => "directory",
        Some(RegistryUrl::Web(_)) => "web",
        Some(RegistryUrl::ZooKeeper { .. }) | None => return,
    };
    let message = format!("a {kind} registry has no sessions, so {done} in it");
    table.report.error(table.problem(ValueError::new(message, "set `registry` to one with url = \"zk://…\"")));
}

fn path(value: &Value<'_>, fill: &Interpolation<'_>) -> Option<NodePath> {
    let text = value.filled(fill, PATH_EXAMPLE)?;
    value.accept(service_path(&text))
}

/// Parses the directory of a service. A final slash does not count, as in zk_watcher.
pub fn service_path(text: &str) -> Result<NodePath, ValueError> {
    let plain = text.trim_end_matches('/');
    let wrong = |why: &dyn std::fmt::Display| {
        ValueError::new(format!("{text:?} is not a valid path: {why}"), format!("write {PATH_EXAMPLE}"))
    };
    if plain.contains('*') {
        return Err(wrong(&"it is one path, without *"));
    }
    let path = NodePath::parse(plain).map_err(|why| wrong(&why))?;
    if path.as_str() == "/zookeeper" || path.as_str().starts_with("/zookeeper/") {
        return Err(wrong(&"/zookeeper belongs to the ensemble"));
    }
    Ok(path)
}

/// Checks the host of a node, which becomes a part of the node's name.
pub fn host_name(text: &str) -> Result<String, ValueError> {
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && c != '/';
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err(ValueError::new(format!("{text:?} is not a valid host"), "write a name or an address"));
    }
    Ok(text.to_owned())
}

fn port(value: &Value<'_>) -> Option<u16> {
    let port = value.count::<u16>("11211")?;
    value.accept(if port == 0 { Err(ValueError::new("`port` is 0", "write port = 11211")) } else { Ok(port) })
}

fn times(value: &Value<'_>) -> Option<u32> {
    let times = value.count::<u32>("2")?;
    let message = format!("`{}` is 0; it must be greater than 0", value.key);
    value.accept(if times == 0 { Err(ValueError::new(message, "write 1 or more")) } else { Ok(times) })
}

/// `data = { zone = "a" }`, or zk_watcher's text.
fn data(value: &Value<'_>, fill: &Interpolation<'_>) -> Option<ServiceData> {
    let Some(entries) = value.map() else {
        let text = value.filled(fill, "{ zone = \"a\" }")?;
        return value.accept(ServiceData::parse(&text, true).map_err(|what| not_data(&text, what)));
    };
    let mut data = ServiceData::default();
    for entry in entries {
        let json = match entry.raw() {
            DeValue::String(text) if text.is_empty() => Some("".into()),
            DeValue::String(_) => entry.filled(fill, "\"a\"").map(Into::into),
            other => {
                let json = json(other);
                if json.is_none() {
                    let message = format!("`{}` has a number that JSON cannot represent", entry.key);
                    entry.reject(ValueError::new(message, "write it as a string"));
                }
                json
            }
        };
        data = data.with_value(entry.key, &json?);
    }
    Some(data)
}

/// The error for data of the wrong kind.
pub fn not_data(text: &str, what: &str) -> ValueError {
    ValueError::new(format!("{text:?} is {what}"), "write key=value pairs, or a JSON object")
}

/// `data_cmd = { cmd = "…", interval = "1m", timeout = "10s" }`, or only the command.
fn data_cmd(value: &Value<'_>) -> Option<DataCommand> {
    let example = "{ cmd = \"/usr/local/bin/weight\", interval = \"1m\" }";
    let (interval, timeout) = (Duration::from_mins(1), ServiceConfig::TIMEOUT);
    if !matches!(value.raw(), DeValue::Table(_)) {
        return Some(DataCommand { cmd: plain_command(value)?, interval, timeout });
    }
    let table = value.table(&[&DATA_CMD], example)?;
    let cmd = table.require("cmd", "\"/usr/local/bin/weight\"").and_then(|value| plain_command(&value));
    let interval = table.get("interval").and_then(|value| value.timeout("\"1m\"")).unwrap_or(interval);
    let timeout = table.get("timeout").and_then(|value| value.timeout("\"10s\"")).unwrap_or(timeout);
    Some(DataCommand { cmd: cmd?, interval, timeout })
}

/// A command without placeholders.
fn plain_command(value: &Value<'_>) -> Option<Command> {
    let cmd = command(value)?;
    reject_placeholders(value, &cmd)?;
    Some(cmd)
}

/// `check = { tcp = "…" }`.
fn check(value: &Value<'_>) -> Option<Check> {
    let table = value.table(&[&CHECK], CHECK_EXAMPLE)?;
    let kinds = ["cmd", "tcp", "http", "systemd", "pid_file", "all"];
    let given: Vec<Value<'_>> = kinds.iter().filter_map(|kind| table.get(kind)).collect();
    let [kind] = given.as_slice() else {
        let message = if given.is_empty() {
            "`check` does not say what to check"
        } else {
            "`check` has more than one kind of check"
        };
        let hint = format!("write check = {CHECK_EXAMPLE}, or check = {{ all = [{CHECK_EXAMPLE}, …] }} for several");
        value.reject(ValueError::new(message, hint));
        return None;
    };
    if kind.key != "http"
        && let Some(other) = ["expect", "headers", "body", "ca"].iter().find_map(|key| table.get(key))
    {
        other.reject(ValueError::new(format!("`{}` is only for http", other.key), "remove it"));
    }
    match kind.key {
        "cmd" => plain_command(kind).map(Check::Cmd),
        "tcp" => {
            let text = kind.text("\"127.0.0.1:11211\"")?;
            let has_port =
                text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            kind.accept(if has_port {
                Ok(Check::Tcp(text.to_owned()))
            } else {
                Err(ValueError::new(format!("{text:?} is not HOST:PORT"), "write tcp = \"127.0.0.1:11211\""))
            })
        }
        "http" => http(kind, &table),
        "systemd" => {
            let unit = kind.text("\"memcached.service\"")?;
            kind.accept(if unit.starts_with('-') {
                Err(ValueError::new(format!("{unit:?} is not the name of a unit"), "write systemd = \"memcached\""))
            } else {
                Ok(Check::Systemd(unit.to_owned()))
            })
        }
        "pid_file" => kind.path("\"/run/memcached.pid\"").map(Check::PidFile),
        _ => {
            let items = kind.items(&format!("[{CHECK_EXAMPLE}]"))?;
            let checks: Option<Vec<Check>> = items.iter().map(check).collect();
            Some(Check::All(checks?))
        }
    }
}

fn http(value: &Value<'_>, table: &Table<'_>) -> Option<Check> {
    let url = value.text("\"http://127.0.0.1:8080/health\"")?;
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        let hint = "write http = \"http://127.0.0.1:8080/health\"";
        value.reject(ValueError::new(format!("{url:?} is not an http or https URL"), hint));
        return None;
    }
    let expect = table.get("expect").and_then(|value| value.count::<u16>("200"));
    let headers = table.get("headers").and_then(|value| {
        let entries = value.map();
        if entries.is_none() {
            value.reject_kind("a table", "{ Host = \"example.com\" }");
        }
        Some(
            entries?.iter().filter_map(|entry| Some((entry.key.to_owned(), entry.text("\"a\"")?.to_owned()))).collect(),
        )
    });
    let body = table.get("body").and_then(|value| value.text("\"ok\"").map(str::to_owned));
    let ca = table.get("ca").and_then(|value| value.path("\"/etc/ssl/ca.pem\""));
    Some(Check::Http(HttpCheck { url: url.to_owned(), expect, headers: headers.unwrap_or_default(), body, ca }))
}
