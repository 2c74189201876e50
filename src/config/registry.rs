//! `[registry]`: the URL, credentials and TLS files of a registry.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::interpolate::Interpolation;
use super::keys::{AUTH, REGISTRY, TLS};
use super::names::Names;
use super::problem::{Problem, Report, ValueError};
use super::table::{Table, Value};
use super::url::{self, RegistryUrl};
use crate::model::digest::digest_bytes;
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
    /// The files for `zks://`.
    pub tls: Option<TlsFiles>,
    /// The Exhibitors that list the servers: `http://HOST:PORT`, without a path.
    pub exhibitor: Vec<String>,
    /// Which watches to use.
    pub watches: Watches,
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
        }
    }
}

/// A credential.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Auth {
    /// `digest`, or `sasl` for SASL with DIGEST-MD5.
    pub scheme: String,
    /// The file of the secret.
    pub file: PathBuf,
    /// `user:password`. `Debug` omits it.
    #[serde(serialize_with = "digest")]
    pub secret: Vec<u8>,
}

/// Replaces the secret by a digest when configurations are compared.
fn digest<S: Serializer>(secret: &[u8], to: S) -> Result<S::Ok, S::Error> {
    digest_bytes(secret).serialize(to)
}

impl Auth {
    /// Whether it is sent with SASL instead of `addAuth`.
    pub fn is_sasl(&self) -> bool {
        self.scheme == SASL
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("scheme", &self.scheme).field("file", &self.file).finish_non_exhaustive()
    }
}

/// PEM files for TLS to ZooKeeper.
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

/// The scheme of credentials that are sent with SASL instead of `addAuth`.
const SASL: &str = "sasl";

/// The maximum size of a credentials file, in bytes.
const MAX_AUTH: u64 = 4096;

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
/// first one.
pub fn registries(tops: &[Table<'_>], fill: &Interpolation<'_>, text: Option<&str>, report: &Report) -> Registries {
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
        usable.extend(registry(&table, fill, instead, &mut names).map(Arc::new));
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
) -> Option<RegistryConfig> {
    let name = table.get("name").and_then(|value| value.text("\"main\"")).unwrap_or(DEFAULT_NAME);
    names.add(name, "registry", table.get("name").as_ref(), table);
    let written = if instead.is_some() { table.get("url") } else { table.require("url", URL_EXAMPLE) };
    let written = written.and_then(|value| {
        let text = value.filled(fill, URL_EXAMPLE)?;
        value.accept(RegistryUrl::parse(&text, &value.source.base))
    });
    let url = instead.or(written);
    let session_timeout =
        table.get("session_timeout").and_then(session_timeout).unwrap_or(RegistryConfig::SESSION_TIMEOUT);
    let auth = table.get("auth").map(|value| auths(&value)).unwrap_or_default();
    let tls = table.get("tls").and_then(|value| tls(&value, url.as_ref()));
    let watches = table.get("watches").and_then(|value| {
        value.choice(&[("auto", Watches::Auto), ("recursive", Watches::Recursive), ("oneshot", Watches::Oneshot)])
    });
    let watches = watches.unwrap_or(Watches::Auto);
    let ca = tls.as_ref().and_then(|tls| tls.ca.as_deref());
    let exhibitor = table.get("exhibitor").map(|value| exhibitors(&value, url.as_ref(), ca)).unwrap_or_default();
    Some(RegistryConfig { name: Arc::from(name), url: url?, session_timeout, auth, tls, exhibitor, watches })
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

/// `auth = [{ … }]`.
fn auths(value: &Value<'_>) -> Vec<Auth> {
    let example = "[{ scheme = \"digest\", file = \"/etc/rosterd/zk.auth\" }]";
    let items = value.items(example).unwrap_or_default();
    let mut auths: Vec<Auth> = Vec::new();
    for item in &items {
        let Some(auth) = item.table(&[&AUTH], example).and_then(|table| auth(&table)) else { continue };
        if auth.is_sasl() && auths.iter().any(Auth::is_sasl) {
            item.reject(ValueError::new("a registry can have only one sasl credential", "remove one of them"));
        }
        auths.push(auth);
    }
    auths
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

/// Reads one credential. No message contains its secret.
fn auth(table: &Table<'_>) -> Option<Auth> {
    let scheme =
        table.require("scheme", "\"digest\"").and_then(|value| value.choice(&[("digest", "digest"), (SASL, SASL)]));
    let value = table.require("file", "\"/etc/rosterd/zk.auth\"")?;
    let file = value.path("\"/etc/rosterd/zk.auth\"")?;
    let secret = value.accept(secret(&file))?;
    Some(Auth { scheme: scheme?.to_owned(), file, secret })
}

/// Reads a credentials file: one line. Other users must not have access to the file.
fn secret(file: &Path) -> Result<Vec<u8>, ValueError> {
    let shown = file.display();
    let unread = |error: std::io::Error| {
        let hint = "create the file with one line, user:password, readable only by rosterd's user";
        ValueError::new(format!("{shown} cannot be read: {error}"), hint)
    };
    let opened = File::open(file).map_err(unread)?;
    // The mode of the open file. The path can refer to another file by now.
    private(file, "contains a password", &opened.metadata().map_err(unread)?)?;
    let mut bytes = Vec::new();
    opened.take(MAX_AUTH + 1).read_to_end(&mut bytes).map_err(unread)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let user = line.iter().position(|byte| *byte == b':').unwrap_or(0);
    if user == 0 || line.contains(&b'\n') || line.len() as u64 > MAX_AUTH {
        return Err(ValueError::new(
            format!("{shown} does not consist of one line with user:password"),
            "write one line, user:password",
        ));
    }
    Ok(line.to_vec())
}

/// Checks that other users have no access to a secret. A group may read it, like `ssl-cert` on Debian and the group of
/// a Secret in Kubernetes.
fn private(file: &Path, what: &str, meta: &Metadata) -> Result<(), ValueError> {
    let (mode, shown) = (meta.mode() & 0o7777, file.display());
    if mode & 0o027 == 0 {
        return Ok(());
    }
    let message = format!("{shown} {what}, but others may read or write it (mode {mode:04o})");
    Err(ValueError::new(message, format!("chmod 640 {shown}, or defaultMode: 0440 on a Kubernetes Secret")))
}

/// `tls = { … }`.
fn tls(value: &Value<'_>, url: Option<&RegistryUrl>) -> Option<TlsFiles> {
    let table = value.table(&[&TLS], "{ ca = \"ca.pem\" }")?;
    if let Some(url) = url.filter(|url| matches!(url, RegistryUrl::ZooKeeper { tls: false, .. })) {
        let hint = "write zks:// in url, or remove tls: rosterd never falls back to plain text";
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
