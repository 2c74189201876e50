//! `[jones]` without its checks: what `rosterd jones serve` does, and for whom.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use glob::Pattern;

use super::http::{host, listen};
use super::problem::ValueError;
use super::table::{Table, Value};

/// An address for hints.
const LISTEN: &str = "\"127.0.0.1:8889\"";

/// `rosterd jones serve`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JonesWeb {
    /// The address and port; the default one if `None`.
    pub listen: Option<SocketAddr>,
    /// Whether anything may be written.
    pub write: bool,
    /// Names and addresses that a request may have as its host, besides those of loopback and of the connection itself;
    /// names in lower case.
    pub hosts: Vec<String>,
    /// How users prove who they are; nobody is asked if `None`.
    pub auth: Option<WebAuth>,
    /// Who may read which services; everybody all of them if `None`.
    pub viewers: Option<Grants>,
    /// Who may write which services; everybody all of them if `None`.
    pub editors: Option<Grants>,
    /// The keys whose values viewers do not see.
    pub mask: Vec<Pattern>,
}

/// Users by service. A service may be `prefix*`, and a user `*`.
pub type Grants = BTreeMap<String, Vec<String>>;

/// How users prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebAuth {
    /// With a password, whose bcrypt hash is in this file.
    Basic {
        /// The file, as `htpasswd -B` writes it.
        users: PathBuf,
    },
    /// To a proxy, which sets a header.
    Header {
        /// The name of the header, in lower case.
        name: String,
        /// The addresses of the proxies.
        proxies: Vec<IpAddr>,
    },
}

/// Reads the keys.
pub fn jones_web(table: &Table<'_>) -> JonesWeb {
    let hosts = table.get("hosts").and_then(|value| value.items("[\"jones.example.com\"]")).unwrap_or_default();
    let masks = table.get("mask").and_then(|value| value.items("[\"*password*\"]")).unwrap_or_default();
    JonesWeb {
        listen: table.get("listen").and_then(|value| value.read(listen, LISTEN)),
        write: table.get("write").and_then(|value| value.boolean()).unwrap_or_default(),
        hosts: hosts.iter().filter_map(|name| name.read(host, "\"jones.example.com\"")).collect(),
        auth: auth(table),
        viewers: table.get("viewers").and_then(|value| grants(&value)),
        editors: table.get("editors").and_then(|value| grants(&value)),
        mask: masks.iter().filter_map(|mask| mask.read(pattern, "\"*password*\"")).collect(),
    }
}

fn auth(table: &Table<'_>) -> Option<WebAuth> {
    let Some(value) = table.get("auth") else {
        unused(table, &["users", "proxies", "header"], "`auth`");
        return None;
    };
    let is_basic = value.choice(&[("basic", true), ("header", false)])?;
    if is_basic {
        unused(table, &["proxies", "header"], "auth = \"header\"");
        let users = table.require("users", "\"/etc/rosterd/jones.users\"")?.path("\"/etc/rosterd/jones.users\"")?;
        return Some(WebAuth::Basic { users });
    }
    unused(table, &["users"], "auth = \"basic\"");
    let example = "[\"127.0.0.1\"]";
    let proxies = table.require("proxies", example)?.items(example)?;
    let proxies = proxies.iter().filter_map(|proxy| proxy.read(address, "\"127.0.0.1\"")).collect();
    let name = table.get("header").and_then(|value| value.read(header, "\"X-Forwarded-User\""));
    Some(WebAuth::Header { name: name.unwrap_or_else(|| "x-forwarded-user".to_owned()), proxies })
}

/// Reports keys that need another one.
fn unused(table: &Table<'_>, keys: &[&'static str], needed: &str) {
    for value in keys.iter().filter_map(|key| table.get(key)) {
        let hint = format!("add {needed}, or remove `{}`", value.key);
        value.reject(ValueError::new(format!("`{}` has no effect without {needed}", value.key), hint));
    }
}

fn grants(value: &Value<'_>) -> Option<Grants> {
    let example = "{ \"pycon\" = [\"ada\"], \"web-*\" = [\"*\"] }";
    let Some(services) = value.map() else {
        value.reject_kind("a table of services", example);
        return None;
    };
    let users = |service: &Value<'_>| {
        let users = service.items("[\"ada\"]").unwrap_or_default();
        let users = users.iter().filter_map(|user| user.text("\"ada\"")).map(str::to_owned).collect();
        (service.key.to_owned(), users)
    };
    Some(services.iter().map(users).collect())
}

fn address(text: &str) -> Result<IpAddr, ValueError> {
    let hint = "write the address of a proxy, as in \"127.0.0.1\"";
    let parsed = text.parse::<IpAddr>().map(|address| address.to_canonical());
    parsed.map_err(|_| ValueError::new(format!("{text:?} is not an IP address"), hint))
}

fn header(text: &str) -> Result<String, ValueError> {
    let is_valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let wrong = || ValueError::new(format!("{text:?} is not the name of a header"), "write \"X-Forwarded-User\"");
    is_valid.then(|| text.to_ascii_lowercase()).ok_or_else(wrong)
}

fn pattern(text: &str) -> Result<Pattern, ValueError> {
    Pattern::new(text)
        .map_err(|why| ValueError::new(format!("{text:?} is not a pattern: {why}"), "write \"*password*\""))
}
