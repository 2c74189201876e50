//! `[registry]`: the URL, credentials and TLS files of a registry.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use toml::de::DeValue;

use super::auth::{Auth, auths, private};
use super::interpolate::Interpolation;
use super::keys::{REGISTRY, TLS};
use super::names::Names;
use super::problem::{Problem, Report, ValueError};
use super::table::{Table, Value};
use super::url::{self, RegistryUrl};
use super::web;
use crate::text::nearest::nearest;

/// One registry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegistryConfig {
    /// Its name; `default` for the single table.
    pub name: Arc<str>,
    /// Its URL.
    pub url: RegistryUrl,
    /// How long the ensemble keeps a session without contact.
    pub session_timeout: Duration,
    /// The credentials, read from their files at load.
    pub auth: Vec<Auth>,
    /// The files for `zks://` and `https://`.
    pub tls: Option<TlsFiles>,
    /// The Exhibitors that list the servers: `http://HOST:PORT`, without a path.
    pub exhibitor: Vec<String>,
    /// Which watches to use.
    pub watches: Watches,
    /// How often a web object is requested.
    pub interval: Duration,
    /// The time limit of such a request.
    pub timeout: Duration,
}

impl RegistryConfig {
    /// The default of `session_timeout`.
    pub const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

    /// A registry with the defaults, named `default`.
    pub fn new(url: RegistryUrl) -> Self {
        Self {
            name: Arc::from(DEFAULT_NAME),
            url,
            session_timeout: Self::SESSION_TIMEOUT,
            auth: Vec::new(),
            tls: None,
            exhibitor: Vec::new(),
            watches: Watches::Auto,
            interval: web::INTERVAL,
            timeout: web::TIMEOUT,
        }
    }
}

/// PEM files for TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TlsFiles {
    /// The trusted CAs; those of the system if `None`.
    pub ca: Option<PathBuf>,
    /// A client certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Which watches to set in ZooKeeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Watches {
    /// Recursive watches, or one-shot watches if the server does not support recursive ones.
    Auto,
    /// Persistent recursive watches, ZooKeeper 3.6 and later.
    Recursive,
    /// One-shot watches, any version of ZooKeeper.
    Oneshot,
}

/// The default of `name`.
pub const DEFAULT_NAME: &str = "default";

/// The maximum session timeout: the protocol has 31 bits for its milliseconds.
const MAX_SESSION_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// An example of a URL.
const URL_EXAMPLE: &str = "\"zk://zk1:2181,zk2:2181\"";

/// The registries of all files.
pub struct Registries {
    /// The valid ones; the first is the default.
    pub usable: Vec<Arc<RegistryConfig>>,
    /// The names of all.
    pub names: Names,
}

impl Registries {
    /// The registry that a table names, or the default one. An unknown or invalid one has been reported; the roster is
    /// kept for its name.
    pub fn named_by(&self, table: &Table<'_>) -> Arc<str> {
        let Some(name) = table.get("registry").and_then(|value| self.checked_name(&value)) else {
            let first = self.usable.first();
            return first.map_or_else(|| Arc::from(DEFAULT_NAME), |registry| registry.name.clone());
        };
        Arc::from(name)
    }

    fn checked_name<'a>(&self, value: &Value<'a>) -> Option<&'a str> {
        let name = value.text("\"main\"")?;
        let names = &self.names;
        if !names.contains(name) && !self.usable.iter().any(|registry| &*registry.name == name) {
            let hint = nearest(name, names.all()).map_or_else(
                || format!("known registries: {}", names.all().collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean {near:?}?"),
            );
            value.reject(ValueError::new(format!("there is no registry {name:?}"), hint));
        }
        Some(name)
    }
}

/// Reads the registries of all files. `text`, a URL from the command line or the environment, replaces the URL of the
/// first one. Offline, only the names and URLs are read.
pub fn registries(
    tops: &[Table<'_>],
    fill: &Interpolation<'_>,
    text: Option<&str>,
    is_offline: bool,
    report: &Report,
) -> Registries {
    let url = text.and_then(|text| match RegistryUrl::parse(text, &std::env::current_dir().unwrap_or_default()) {
        Ok(url) => Some(url),
        Err(wrong) => {
            report.error(Problem::whole("--registry or $ROSTERD_REGISTRY", wrong));
            None
        }
    });
    let mut names = Names::default();
    let mut usable: Vec<Arc<RegistryConfig>> = Vec::new();
    let tables = tops.iter().filter_map(|top| top.get("registry")).flat_map(|value| match value.raw() {
        DeValue::Array(_) => value.tables(&[&REGISTRY]),
        _ => value.table(&[&REGISTRY], "{ url = \"zk://…\" }").into_iter().collect(),
    });
    for (number, table) in tables.enumerate() {
        let instead = if number == 0 { url.clone() } else { None };
        usable.extend(registry(&table, fill, instead, &mut names, is_offline).map(Arc::new));
    }
    if names.is_empty() {
        match url {
            Some(url) => usable.push(Arc::new(RegistryConfig::new(url))),
            // The invalid URL has been reported.
            None if text.is_some() => {}
            None => {
                if let Some(top) = tops.first() {
                    let hint = format!("add [registry] with url = {URL_EXAMPLE}, or give --registry URL");
                    report.structure(Problem::whole(
                        &top.source.file,
                        ValueError::new("no registry is configured", hint),
                    ));
                }
            }
        }
    }
    Registries { usable, names }
}

/// Reads one table. `None` if it has no valid URL, which has been reported.
fn registry(
    table: &Table<'_>,
    fill: &Interpolation<'_>,
    instead: Option<RegistryUrl>,
    names: &mut Names,
    is_offline: bool,
) -> Option<RegistryConfig> {
    let name = table.get("name").and_then(|value| value.text("\"main\"")).unwrap_or(DEFAULT_NAME);
    names.add(name, "registry", table.get("name").as_ref(), table);
    let written = if instead.is_some() { table.get("url") } else { table.require("url", URL_EXAMPLE) };
    let written = written.and_then(|value| {
        let text = value.filled(fill, URL_EXAMPLE)?;
        value.accept(RegistryUrl::parse(&text, &value.source.base))
    });
    let is_overridden = instead.is_some();
    let url = instead.or(written);
    let session_timeout =
        table.get("session_timeout").and_then(session_timeout).unwrap_or(RegistryConfig::SESSION_TIMEOUT);
    let get = |key| table.get(key).filter(|_| !is_offline);
    let auth = get("auth").map(|value| auths(&value, url.as_ref())).unwrap_or_default();
    let tls = get("tls").and_then(|value| tls(&value, url.as_ref()));
    let watches = table.get("watches").and_then(|value| {
        value.choice(&[("auto", Watches::Auto), ("recursive", Watches::Recursive), ("oneshot", Watches::Oneshot)])
    });
    let watches = watches.unwrap_or(Watches::Auto);
    let ca = tls.as_ref().and_then(|tls| tls.ca.as_deref());
    let exhibitor = get("exhibitor").map(|value| exhibitors(&value, url.as_ref(), ca)).unwrap_or_default();
    let (interval, timeout) = web::polling(table, url.as_ref().filter(|_| !is_overridden));
    let name = Arc::from(name);
    Some(RegistryConfig { name, url: url?, session_timeout, auth, tls, exhibitor, watches, interval, timeout })
}

/// Reads `session_timeout`.
fn session_timeout(value: Value<'_>) -> Option<Duration> {
    let timeout = value.timeout("\"10s\"")?;
    if timeout > MAX_SESSION_TIMEOUT {
        value.reject(ValueError::new("the session timeout is longer than 24 days", "write session_timeout = \"10s\""));
        return None;
    }
    Some(timeout)
}

/// `exhibitor = ["http://…"]`.
fn exhibitors(value: &Value<'_>, url: Option<&RegistryUrl>, ca: Option<&Path>) -> Vec<String> {
    match url {
        Some(RegistryUrl::Directory(_)) => {
            value.reject(ValueError::new("exhibitor is set, but a directory has no servers", "remove exhibitor"));
        }
        // A forged response could name any host, and a public CA could have signed its certificate.
        Some(RegistryUrl::ZooKeeper { tls: true, .. }) if ca.is_none() => {
            let message =
                "Exhibitor is queried without TLS; with the system's CAs any host that it lists would be trusted";
            value.reject(ValueError::new(message, "set the ensemble's own CA: tls = { ca = \"ca.pem\" }"));
        }
        _ => {}
    }
    let items = value.items("[\"http://exhibitor:8080\"]").unwrap_or_default();
    let one = |item: &Value<'_>| item.accept(url::exhibitor(item.text("\"http://exhibitor:8080\"")?));
    items.iter().filter_map(one).collect()
}

/// `tls = { … }`.
fn tls(value: &Value<'_>, url: Option<&RegistryUrl>) -> Option<TlsFiles> {
    let table = value.table(&[&TLS], "{ ca = \"ca.pem\" }")?;
    let secure = match url {
        Some(RegistryUrl::ZooKeeper { tls: false, .. }) => Some("zks"),
        Some(RegistryUrl::Web(url)) if !url.starts_with("https://") => Some("https"),
        _ => None,
    };
    if let (Some(url), Some(secure)) = (url, secure) {
        let hint = format!("write {secure}:// in url, or remove tls: rosterd never falls back to plain text");
        value.reject(ValueError::new(format!("tls is set, but {url} does not use it"), hint));
    }
    let file = |key| {
        let value = table.get(key)?;
        let file = value.path("\"/etc/rosterd/ca.pem\"")?;
        let readable = File::open(&file)
            .and_then(|file| file.metadata())
            .and_then(|meta| if meta.is_dir() { Err(std::io::ErrorKind::IsADirectory.into()) } else { Ok(()) });
        value.accept(readable.map_err(|error| {
            let hint = "name a PEM file that rosterd's user may read";
            ValueError::new(format!("{} cannot be read: {error}", file.display()), hint)
        }))?;
        Some(file)
    };
    let (ca, cert, key) = (file("ca"), file("cert"), file("key"));
    // A file that was removed meanwhile is reported when it is read.
    if let (Some(value), Some((key, meta))) =
        (table.get("key"), key.as_ref().and_then(|key| Some((key, key.metadata().ok()?))))
    {
        value.accept(private(key, "is a private key", &meta));
    }
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if let (Some(value), None) = (table.get(one), table.get(other)) {
            let hint = format!("add {other} = \"agent-{other}.pem\", or remove both");
            value.reject(ValueError::new(format!("tls has `{one}` without `{other}`"), hint));
        }
    }
    Some(TlsFiles { ca, identity: cert.zip(key) })
}
