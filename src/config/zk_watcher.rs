//! The configuration of zk_watcher 0.4.0, an INI file, and of its container, which is environment variables.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::file::check_owner_and_mode;
use super::flags::working_dir;
use super::keys::TOP;
use super::problem::{Problem, Problems, ValueError};
use super::registry::DEFAULT_NAME;
use super::resolve::Overrides;
use super::service::{host_name, not_data, service_path};
use super::{Auth, Check, Command, Config, RegistryConfig, RegistryUrl, ServiceConfig};
use crate::model::service_data::ServiceData;

mod ini;
#[cfg(test)]
mod tests;

use ini::Section;

/// The default of `rosterd register -s`, and of `zk_watcher -s`.
pub const SERVER: &str = "localhost:2181";

/// The time limit of a check in zk_watcher.
const TIMEOUT: Duration = Duration::from_secs(90);

/// The keys of a section.
const KEYS: [&str; 6] = ["cmd", "refresh", "service_port", "zookeeper_path", "service_hostname", "zookeeper_data"];

/// The text of an INI file with services; `None` if it is TOML, or cannot be read.
pub fn text(file: &Path) -> Option<Arc<str>> {
    std::fs::read_to_string(file).ok().filter(|text| is_ini(file, text)).map(Arc::from)
}

/// Whether a text is an INI file with services rather than TOML. One that is valid as both counts as TOML if it has a
/// table of it.
fn is_ini(file: &Path, text: &str) -> bool {
    if file.extension().is_some_and(|extension| extension == "toml") {
        return false;
    }
    let is_table = |name: &str| TOP.keys.iter().any(|key| key.name == name);
    if let Ok(table) = text.parse::<toml::Table>() {
        return !table.keys().any(|name| is_table(name));
    }
    let lines = || text.lines().map(str::trim);
    if lines().any(|line| line.starts_with("[[")) {
        return false;
    }
    let key = |line: &str| Some(line.split_once(['=', ':'])?.0.trim_end().to_lowercase());
    let has_service = lines().filter_map(key).any(|key| key != "cmd" && KEYS.contains(&&*key));
    let header = |line: &str| line.strip_prefix('[').is_some_and(|rest| rest.strip_suffix(']').is_some_and(is_table));
    has_service || !lines().any(header)
}

/// The configuration of an INI file. With `trims`, spaces around the keys and values of `zookeeper_data` do not count.
///
/// # Errors
/// Every problem. Nothing of such a file is used.
pub fn read(
    file: &Path,
    text: &Arc<str>,
    server: &str,
    trims: bool,
    overrides: &Overrides,
) -> Result<Config, Problems> {
    // Problems show lines of the file.
    let shown: Arc<str> = ini::without_passwords(text).into();
    let problem = |(span, wrong): ini::Misplaced| Problem {
        file: file.to_owned(),
        text: Arc::clone(&shown),
        span,
        message: wrong.message,
        hint: wrong.hint,
    };
    let place = |section: &Section| problem((section.span.clone(), ValueError::new("", "")));
    let all = |mut problems: Vec<ini::Misplaced>| {
        problems.sort_by_key(|(span, _)| span.start);
        // An option of [DEFAULT] belongs to every section.
        problems.dedup();
        Problems(problems.into_iter().map(problem).collect())
    };
    let sections = ini::parse(text).map_err(all)?;
    let (mut services, mut auth, mut problems) = (Vec::new(), None, Vec::new());
    for section in &sections {
        let read = if section.name == "auth" {
            credentials(section, file).map(|it| auth = Some(it))
        } else {
            service(section, trims).map(|service| {
                services.push(Arc::new(service.placed(place(section))));
            })
        };
        problems.extend(read.err().into_iter().flatten());
    }
    if let Err(wrong) = check_owner_and_mode(file, "the configuration file", None) {
        problems.push((0..0, wrong));
    }
    if services.is_empty() && problems.is_empty() {
        let hint = "write a section for each service: [NAME] with cmd, refresh, service_port and zookeeper_path";
        problems.push((0..0, ValueError::new("the file has no service", hint)));
    }
    if !problems.is_empty() {
        return Err(all(problems));
    }
    config(server, auth, services, overrides)
}

/// A warning about a file with a password that every user can read. zk_watcher accepts it.
pub fn warning(file: &Path, config: &Config) -> Option<String> {
    let has_password = config.registries.iter().any(|registry| registry.auth.iter().any(|auth| auth.file == file));
    let mode = std::fs::metadata(file).ok()?.mode();
    let shown = file.display();
    let text = format!("{shown} contains a password, but every user can read it: chmod 600 {shown}");
    (has_password && mode & 0o004 != 0).then_some(text)
}

/// The configuration of these services in the ensemble at `server`.
fn config(
    server: &str,
    auth: Option<Auth>,
    services: Vec<Arc<ServiceConfig>>,
    overrides: &Overrides,
) -> Result<Config, Problems> {
    let mut config = Config::without_file(overrides)?;
    if config.registries.is_empty() {
        let url = if server.contains("://") { server.to_owned() } else { format!("zk://{server}") };
        let url = RegistryUrl::parse(&url, &working_dir());
        let url = url.map_err(|wrong| Problems(vec![Problem::whole(format!("-s {server}"), wrong)]))?;
        config.registries.push(Arc::new(RegistryConfig::new(url)));
    }
    if let Some(registry) = config.registries.first_mut() {
        *registry = Arc::new(RegistryConfig { auth: auth.into_iter().collect(), ..(**registry).clone() });
    }
    config.services = services;
    Ok(config)
}

/// One section.
fn service(section: &Section, trims: bool) -> Result<ServiceConfig, Vec<ini::Misplaced>> {
    let mut problems: Vec<ini::Misplaced> = Vec::new();
    for entry in section.options.iter().filter(|entry| !KEYS.contains(&&*entry.key)) {
        let known = KEYS.join(", ");
        let message = format!("`{}` is not a key of zk_watcher", entry.key);
        problems.push((entry.span.clone(), ValueError::new(message, format!("its keys are {known}"))));
    }
    let mut required = |key: &str, example: &str| {
        let entry = section.get(key).filter(|entry| !entry.value.is_empty());
        if entry.is_none() {
            let wrong = ValueError::new(format!("[{}] has no `{key}`", section.name), format!("add {key} = {example}"));
            problems.push((section.span.clone(), wrong));
        }
        entry
    };
    let cmd = required("cmd", "pgrep memcached");
    let (refresh, port) = (required("refresh", "30"), required("service_port", "11211"));
    let path = required("zookeeper_path", "/services/memcached");
    let refresh = value(&mut problems, refresh, refresh_seconds);
    let port = value(&mut problems, port, service_port);
    let path = value(&mut problems, path, service_path);
    let host = value(&mut problems, section.get("service_hostname"), host_name);
    let data = section.get("zookeeper_data").filter(|entry| !entry.value.is_empty());
    let data = value(&mut problems, data, |text| ServiceData::parse(text, trims).map_err(|what| not_data(text, what)));
    match (cmd, refresh, port, path) {
        (Some(cmd), Some(interval), Some(port), Some(path)) if problems.is_empty() => Ok(ServiceConfig {
            host,
            data: data.unwrap_or_default(),
            interval,
            timeout: TIMEOUT,
            fall: 1,
            ..ServiceConfig::new(&section.name, DEFAULT_NAME, path, port, Check::Cmd(split(&cmd.value)))
        }),
        _ => Err(problems),
    }
}

/// The parsed value of an entry. A wrong one is a problem.
fn value<T>(
    problems: &mut Vec<ini::Misplaced>,
    entry: Option<&ini::Entry>,
    parse: impl FnOnce(&str) -> Result<T, ValueError>,
) -> Option<T> {
    let entry = entry?;
    parse(&entry.value).map_err(|wrong| problems.push((entry.span.clone(), wrong))).ok()
}

/// A command as zk_watcher splits it: at each space, without a shell.
fn split(cmd: &str) -> Command {
    Command::Exec(cmd.split(' ').map(str::to_owned).collect())
}

fn refresh_seconds(text: &str) -> Result<Duration, ValueError> {
    let seconds = text.trim().parse::<u32>().ok().filter(|seconds| *seconds > 0 && *seconds <= 366 * 24 * 3600);
    seconds.map(|seconds| Duration::from_secs(seconds.into())).ok_or_else(|| {
        ValueError::new(
            format!("`refresh` is {text:?}; it must be a whole number of seconds, at least 1"),
            "write refresh = 30",
        )
    })
}

fn service_port(text: &str) -> Result<u16, ValueError> {
    let port = text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    port.ok_or_else(|| {
        ValueError::new(format!("`service_port` is {text:?}, which is not a port"), "write service_port = 11211")
    })
}

/// `[auth]`.
fn credentials(section: &Section, file: &Path) -> Result<Auth, Vec<ini::Misplaced>> {
    let part = |key: &str| section.get(key).map(|entry| entry.value.as_str()).filter(|value| !value.is_empty());
    match (part("user"), part("password")) {
        (Some(user), Some(password)) if !user.contains(':') => {
            let secret = format!("{user}:{password}").into_bytes();
            Ok(Auth { scheme: "digest".to_owned(), file: file.to_owned(), secret })
        }
        (Some(_), Some(_)) => {
            Err(vec![(section.span.clone(), ValueError::new("`user` has a colon", "use another user"))])
        }
        _ => {
            let hint = "write both keys, or remove the section";
            Err(vec![(section.span.clone(), ValueError::new("[auth] needs `user` and `password`", hint))])
        }
    }
}

/// The configuration of the variables of zk_watcher's container.
///
/// # Errors
/// Every variable that is missing or wrong.
pub fn from_env(overrides: &Overrides) -> Result<Config, Problems> {
    let env = |name: &str| overrides.env.get(name).filter(|value| !value.is_empty());
    let mut problems = Vec::new();
    let mut wrong = |name: &str, wrong: ValueError| problems.push(Problem::whole(format!("${name}"), wrong));
    let mut required = |name: &'static str, example: &str| {
        let value = env(name);
        if value.is_none() {
            wrong(name, ValueError::new(format!("${name} is not set"), format!("set {name}={example}")));
        }
        value.map(|value| expanded(value, &overrides.env))
    };
    let cmd = required("CMD", "'nc -z localhost 11211'");
    let port = required("SVC_PORT", "11211");
    let path = required("ZK_PATH", "/services/memcached");
    let host = env("SVC_HOST").cloned().or_else(|| {
        let written = std::fs::read_to_string("/tmp/hostname").ok()?;
        Some(written.trim().to_owned()).filter(|name| !name.is_empty())
    });
    if host.is_none() {
        wrong("SVC_HOST", ValueError::new("$SVC_HOST is not set", "set SVC_HOST to the name or address of the host"));
    }
    let mut parsed = |name: &'static str, result: Result<(), ValueError>| {
        if let Err(what) = result {
            wrong(name, what);
        }
    };
    let port = port.and_then(|text| service_port(&text).map_err(|what| parsed("SVC_PORT", Err(what))).ok());
    let path = path.and_then(|text| service_path(&text).map_err(|what| parsed("ZK_PATH", Err(what))).ok());
    let host = host.and_then(|text| host_name(&text).map_err(|what| parsed("SVC_HOST", Err(what))).ok());
    let refresh = refresh_seconds(env("REFRESH").map_or("30", String::as_str));
    let refresh = refresh.map_err(|what| parsed("REFRESH", Err(what))).ok();
    let drain = seconds(env("WAIT_TIME"), env("DRAIN_TIME")).map_err(|what| parsed("DRAIN_TIME", Err(what))).ok();
    let server =
        env("ZOOKEEPER_HOST").or_else(|| env("DOCKER_HOST_IP")).cloned().or_else(|| gateway().map(|ip| ip.to_string()));
    if server.is_none() && overrides.registry.is_none() {
        let hint = "set ZOOKEEPER_HOST to the name of a ZooKeeper server";
        parsed("ZOOKEEPER_HOST", Err(ValueError::new("there is no default route to the container's host", hint)));
    }
    let (Some(cmd), Some(port), Some(path), Some(host), Some(interval), Some(drain), true) =
        (cmd, port, path, host, refresh, drain, problems.is_empty())
    else {
        return Err(Problems(problems));
    };
    let service = ServiceConfig {
        host: Some(host),
        interval,
        drain,
        timeout: TIMEOUT,
        fall: 1,
        ..ServiceConfig::new("service", DEFAULT_NAME, path, port, Check::Cmd(split(&cmd)))
    };
    let port = env("ZOOKEEPER_PORT").map_or("2181", String::as_str);
    config(&format!("{}:{port}", server.unwrap_or_default()), None, vec![Arc::new(service)], overrides)
}

/// The sum of `$WAIT_TIME` and `$DRAIN_TIME`: how long the container stays after the node was deleted.
fn seconds(wait: Option<&String>, drain: Option<&String>) -> Result<Duration, ValueError> {
    let one = |text: Option<&String>| text.map_or(Ok(0), |text| text.trim().parse::<u32>());
    match (one(wait), one(drain)) {
        (Ok(wait), Ok(drain)) => Ok(Duration::from_secs(u64::from(wait) + u64::from(drain))),
        _ => Err(ValueError::new("WAIT_TIME and DRAIN_TIME must be numbers of seconds", "write DRAIN_TIME=5")),
    }
}

/// A text with `$NAME` and `${NAME}` replaced; a variable that is not set is empty, as in a shell.
fn expanded(text: &str, env: &BTreeMap<String, String>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        let plain = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, after) = braced.unwrap_or_else(|| after.split_at(plain));
        if name.is_empty() {
            out.push('$');
        } else {
            out.push_str(env.get(name).map_or("", String::as_str));
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The gateway of the default route: the host, as seen from a container (proc(5), /proc/net/route).
fn gateway() -> Option<Ipv4Addr> {
    let routes = std::fs::read_to_string(PathBuf::from("/proc/net/route")).ok()?;
    routes.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (destination, gateway) = (fields.next()?, fields.next()?);
        let address = u32::from_str_radix(gateway, 16).ok().filter(|address| *address != 0)?;
        (destination == "00000000").then(|| Ipv4Addr::from(address.to_le_bytes()))
    })
}
