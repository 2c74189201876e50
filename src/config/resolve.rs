//! Resolves the parsed files to one configuration, or reports every problem.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::dest::Dests;
use super::exec::{default_reload_to_program, exec};
use super::file::{Source, check_permissions};
use super::history::history;
use super::http::http;
use super::include::included;
use super::interpolate::Interpolation;
use super::jones_check::jones_config;
use super::keys::{AGENT, STATUS, TOP};
use super::lock::locks;
use super::names::Names;
use super::problem::{Problem, Problems, Report, ValueError};
use super::registry::registries;
use super::roster::RosterParser;
use super::service::services;
use super::table::{Table, Value, single};
use super::template::{TemplateParser, group};
use super::{Agent, Config, LogFormat, OnStop, StatusConfig, Trust, scalar};
use crate::model::digest::digest;

/// The default of `[agent] name`.
pub const AGENT_NAME: &str = "rosterd";

/// The maximum length of the path of a socket: `sockaddr_un` has 108 bytes, the last one 0 (unix(7)).
const MAX_SOCKET: usize = 107;

/// Settings from the command line and the environment.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--registry` or `$ROSTERD_REGISTRY`: replaces the URL of the first registry.
    pub registry: Option<String>,
    /// The variables for `{{ env.X }}`.
    pub env: BTreeMap<String, String>,
    /// The value of `{{ host.name }}`.
    pub host_name: String,
    /// Paths of the command line and the environment.
    pub paths: PathOverrides,
    /// The program of `run -- CMD`; empty to use `[exec] cmd`; `None` for commands that run no program, which only
    /// check `[exec]`.
    pub program: Option<Vec<String>>,
    /// Replace variables of `[vars]`.
    pub vars: serde_json::Map<String, serde_json::Value>,
    /// No registry is contacted: credentials and TLS files are not read.
    pub is_offline: bool,
}

/// Paths from the command line and the environment, which override those of the configuration; absolute.
#[derive(Debug, Clone, Default)]
pub struct PathOverrides {
    /// `--state-dir` or `$ROSTERD_STATE_DIR`.
    pub state_dir: Option<PathBuf>,
    /// `--socket` or `$ROSTERD_SOCKET`.
    pub socket: Option<PathBuf>,
}

/// A valid configuration and its warnings.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings for the log, whole sentences.
    pub warnings: Vec<String>,
    /// Every file, the main one first.
    pub files: Vec<PathBuf>,
    /// A hash of the text of all files.
    pub digest: u64,
}

/// An invalid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Every problem.
    pub problems: Problems,
    /// The valid part, so that templates can be checked in the same run. Use it for nothing else.
    pub rest: Option<Box<Config>>,
    /// Whether `rest` has every roster, key and variable.
    pub complete: bool,
}

/// Loads a configuration and the files that it includes.
///
/// # Errors
/// Every problem of every file, ordered by file and position. An unreadable file is one of them.
pub fn load(file: &Path, overrides: &Overrides) -> Result<Loaded, Problems> {
    read(file, overrides).map_err(|refused| refused.problems)
}

/// Like [`load`], for a caller that checks more.
///
/// # Errors
/// Every problem, and the valid part.
pub fn read(file: &Path, overrides: &Overrides) -> Result<Loaded, Refused> {
    let report = Report::default();
    let mut files = vec![file.to_owned()];
    let mut written = 0;
    let config = Source::read(file, true, &report).and_then(|main| {
        let tree = main.parse(&report);
        let top = Table::new(&main, &report, &[&TOP], tree.get_ref(), 0..0);
        let others = included(&main, &top, &report);
        files.extend(others.iter().map(|source| source.file.clone()));
        written = digest([&main].into_iter().chain(&others).map(|source| &*source.text));
        let trees: Vec<_> = others.iter().map(|source| source.parse(&report)).collect();
        let mut tops = vec![top];
        for (source, tree) in others.iter().zip(&trees) {
            tops.push(Table::new(source, &report, &[&TOP], tree.get_ref(), 0..0));
        }
        resolve(&tops, overrides, &report)
    });
    let complete = !report.is_incomplete();
    let warnings = match report.finish(&files) {
        Ok(warnings) => warnings,
        Err(problems) => return Err(Refused { problems, rest: config.map(Box::new), complete }),
    };
    // Without a problem there is a configuration; otherwise a reader failed to report one.
    let Some(config) = config else {
        let wrong =
            ValueError::new("the configuration could not be resolved", "this is a bug in rosterd: please report it");
        return Err(Refused { problems: Problems(vec![Problem::whole(file, wrong)]), rest: None, complete: false });
    };
    Ok(Loaded { config, warnings, files, digest: written })
}

/// Resolves all files, without the invalid parts; `None` if nothing is left.
fn resolve(tops: &[Table<'_>], overrides: &Overrides, report: &Report) -> Option<Config> {
    reject_nested_includes(tops);
    let mut vars = vars(tops, overrides);
    vars.extend(overrides.vars.clone());
    let fill = Interpolation { vars: &vars, env: &overrides.env, host_name: &overrides.host_name, keeps_key: false };
    let agent = agent(tops, &overrides.paths, report)?;
    let status = status(tops, &agent, &overrides.paths, report);
    let history = history(tops);
    let registries = registries(tops, &fill, overrides.registry.as_deref(), overrides.is_offline, report);
    let mut followed =
        RosterParser { fill: &fill, registries: &registries, names: Names::default(), wheres: Vec::new() };
    let (rosters, keys) = (followed.rosters(tops), followed.keys(tops));
    let services = services(tops, &fill, &registries);
    let locks = locks(tops, &fill, &registries, &followed.names);
    let wheres = followed.wheres;
    let (names, mut dests) = (Names::default(), Dests::new(&agent.state_dir));
    for top in tops {
        // The main file cannot vouch for itself.
        let trust = Some(&agent.trust).filter(|_| !top.source.main);
        check_permissions(&top.source.file, "the configuration file", trust, report, &|wrong| {
            report.error(Problem::whole(&top.source.file, wrong));
        });
        dests.add_input(&top.source.file, "a configuration file");
    }
    let roster_names = std::mem::take(&mut followed.names);
    let (template_dir, trust) = (&agent.template_dir, &agent.trust);
    let mut parser = TemplateParser { fill: &fill, template_dir, trust, rosters: &rosters, roster_names, names, dests };
    let templates = parser.templates(tops, report);
    let exec = exec(tops, overrides.program.as_deref(), &locks);
    let jones = jones_config(tops, &keys);
    let templates = if exec.is_some() { default_reload_to_program(templates) } else { templates };
    Some(Config {
        registries: registries.usable,
        agent,
        status,
        history,
        vars,
        rosters,
        wheres,
        keys,
        templates,
        services,
        locks,
        exec,
        jones,
    })
}

/// Rejects `include` in included files.
fn reject_nested_includes(tops: &[Table<'_>]) {
    for value in tops.iter().skip(1).filter_map(|top| top.get("include")) {
        value.reject(ValueError::new(
            "an included file cannot include other files",
            "add this pattern to `include` in the main file",
        ));
    }
}

/// Merges `[vars]` of all files, with the variables of the environment in them.
fn vars(tops: &[Table<'_>], overrides: &Overrides) -> serde_json::Map<String, serde_json::Value> {
    let none = serde_json::Map::new();
    let fill = Interpolation { vars: &none, env: &overrides.env, host_name: &overrides.host_name, keeps_key: false };
    let mut vars = serde_json::Map::new();
    let mut places: BTreeMap<&str, String> = BTreeMap::new();
    for value in tops.iter().filter_map(|top| top.get("vars")) {
        let entries = value.map().unwrap_or_else(|| {
            value.reject_section();
            value.report.set_incomplete();
            Vec::new()
        });
        for entry in entries {
            if let Some(other) = places.insert(entry.key, entry.source.place(entry.span().start)) {
                let message = format!("the variable `{}` is already set at {other}", entry.key);
                entry.reject(ValueError::new(message, "set it once, or give one of them another name"));
            }
            if let Some(mut value) = scalar::json(entry.raw()) {
                if let serde_json::Value::String(text) = &mut value {
                    match fill.fill_environment(text) {
                        Ok(filled) => *text = filled,
                        Err((part, wrong)) => entry.reject_part(&part, wrong),
                    }
                }
                vars.insert(entry.key.to_owned(), value);
            } else {
                entry.report.set_incomplete();
                entry.reject(ValueError::new(
                    format!("the variable `{}` has a number that templates cannot represent", entry.key),
                    "write it as a string; inf, nan and whole numbers of more than 64 bits are not supported in templates",
                ));
            }
        }
    }
    vars
}

/// `[agent]`.
fn agent(tops: &[Table<'_>], paths: &PathOverrides, report: &Report) -> Option<Agent> {
    let main = tops.first()?.source;
    let table = single(tops, "agent").and_then(|value| value.section(&[&AGENT]));
    let get = |key| table.as_ref().and_then(|table| table.get(key));
    let name = get("name").and_then(|value| value.read(agent_name, "\"rosterd\"")).unwrap_or_else(|| AGENT_NAME.into());
    let state_dir = get("state_dir").and_then(|value| value.path("\"/var/lib/rosterd\""));
    let dir_value = get("template_dir");
    let template_dir = dir_value.and_then(|value| value.path("\"templates\""));
    let template_dir = template_dir.unwrap_or_else(|| main.base.join("templates"));
    let trust = get("trust").map(|value| trust(&value)).unwrap_or_default();
    check_permissions(&template_dir, "template_dir", Some(&trust), report, &|wrong| match dir_value {
        Some(value) => value.reject(wrong),
        None => report.error(Problem::whole(&main.file, wrong)),
    });
    let log_format = get("log_format")
        .and_then(|value| value.choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]))
        .unwrap_or(LogFormat::Text);
    let on_stop = get("on_stop")
        .and_then(|value| value.choice(&[("deregister", OnStop::Deregister), ("keep", OnStop::Keep)]))
        .unwrap_or(OnStop::Deregister);
    let state_dir = paths.state_dir.clone().or(state_dir).unwrap_or_else(|| Path::new("/var/lib").join(&name));
    Some(Agent { name, state_dir, template_dir, trust, log_format, on_stop })
}

/// `trust = ["/path"]`, in the main file: an included file could otherwise vouch for itself.
fn trust(value: &Value<'_>) -> Trust {
    if !value.source.main {
        let message = "an included file cannot set `trust`: a user who can edit it could add a directory of their own";
        value.reject(ValueError::new(message, "set `trust` in the main file"));
        return Trust::default();
    }
    let items = value.items("[\"/etc/haproxy\"]").unwrap_or_default();
    Trust::new(items.iter().filter_map(|item| item.path("\"/etc/haproxy\"")))
}

/// Checks the name of an agent, which becomes the name of a directory.
fn agent_name(text: &str) -> Result<String, ValueError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if !plain || text.starts_with('.') || text.len() > 64 {
        let message = format!("{text:?} cannot be used in /var/lib/NAME and /run/NAME");
        return Err(ValueError::new(message, "write up to 64 letters, digits, -, . and _, not beginning with a ."));
    }
    Ok(text.to_owned())
}

/// `[status]`.
fn status(tops: &[Table<'_>], agent: &Agent, paths: &PathOverrides, report: &Report) -> StatusConfig {
    let table = single(tops, "status").and_then(|value| value.section(&[&STATUS]));
    let get = |key| table.as_ref().and_then(|table| table.get(key));
    let socket = get("socket").and_then(|value| {
        let socket = value.path("\"/run/rosterd/rosterd.sock\"")?;
        value.accept(socket_fits(&socket));
        Some(socket)
    });
    if let Some(Err(wrong)) = paths.socket.as_deref().map(socket_fits) {
        report.error(Problem::whole("--socket or $ROSTERD_SOCKET", wrong));
    }
    let group = get("group").and_then(|value| value.read(group, "\"adm\""));
    let socket = paths.socket.clone().or(socket);
    StatusConfig {
        socket: socket.unwrap_or_else(|| default_socket(&agent.name)),
        group,
        http: table.as_ref().and_then(http),
    }
}

/// Checks the length of the path of a socket.
fn socket_fits(socket: &Path) -> Result<(), ValueError> {
    let length = socket.as_os_str().len();
    if length <= MAX_SOCKET {
        return Ok(());
    }
    let message = format!("the socket's path has {length} bytes; the maximum is {MAX_SOCKET}");
    Err(ValueError::new(message, "write a shorter path, as in \"/run/rosterd/rosterd.sock\""))
}

/// The default of `[status] socket`.
pub fn default_socket(name: &str) -> PathBuf {
    PathBuf::from(format!("/run/{name}/{name}.sock"))
}
