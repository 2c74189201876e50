//! Every key of the configuration with the type of its value, by table.
//!
//! The parser rejects other keys. The JSON Schema is made from this list, and docs/configuration.md describes the keys: a
//! test compares both.

use super::kind::Kind::{Any, Boolean, Count, Either, List, Map, OneOf, Pattern, String, Table, Text};
use super::kind::{COMMAND, DURATION, ID, IDENTIFIER, Kind, MAX};
use crate::payload::Payload;

/// The keys of one table.
#[derive(Debug, PartialEq, Eq)]
pub struct TableKeys {
    /// The name of the table: `[[roster]]`; for a table in a key, `[registry] tls`.
    pub table: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
    /// Aliases from confd and its relatives, each with its key.
    pub aliases: &'static [(&'static str, &'static str)],
}

/// A key of a table.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// The type of its value.
    pub kind: Kind,
    /// Whether the table must have it.
    pub is_required: bool,
}

/// Keys outside of any table.
pub const TOP: TableKeys = TableKeys {
    table: "the top-level table",
    keys: &[
        optional("include", List(&Text)),
        optional("registry", Either(&[Table("[registry]"), List(&Table("[registry]"))])),
        optional("agent", Table("[agent]")),
        optional("status", Table("[status]")),
        optional("history", Table("[history]")),
        optional("vars", Map(&Any)),
        optional("roster", List(&Table("[[roster]]"))),
        optional("key", List(&Table("[[key]]"))),
        optional("template", Either(&[List(&Table("[[template]]")), Table("[template]")])),
        optional("service", List(&Table("[[service]]"))),
        optional("lock", List(&Table("[[lock]]"))),
        optional("exec", Table("[exec]")),
        optional("jones", Table("[jones]")),
    ],
    aliases: &[],
};

/// `[registry]` and `[[registry]]`.
pub const REGISTRY: TableKeys = TableKeys {
    table: "[registry]",
    keys: &[
        optional("name", Text),
        optional("url", Text),
        optional("interval", DURATION),
        optional("timeout", DURATION),
        optional("session_timeout", DURATION),
        optional("auth", List(&Table("[registry] auth"))),
        optional("tls", Table("[registry] tls")),
        optional("exhibitor", List(&Text)),
        optional("watches", OneOf(&["auto", "recursive", "oneshot"])),
    ],
    aliases: &[],
};

/// One of `auth = [{ … }]`.
pub const AUTH: TableKeys = TableKeys {
    table: "[registry] auth",
    keys: &[required("scheme", OneOf(&["digest", "sasl", "header"])), required("file", Text)],
    aliases: &[],
};

/// `tls = { … }`.
pub const TLS: TableKeys = TableKeys {
    table: "[registry] tls",
    keys: &[optional("ca", Text), optional("cert", Text), optional("key", Text)],
    aliases: &[],
};

/// `[agent]`.
pub const AGENT: TableKeys = TableKeys {
    table: "[agent]",
    keys: &[
        optional("name", Pattern("^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")),
        optional("state_dir", Text),
        optional("template_dir", Text),
        optional("trust", List(&Text)),
        optional("log_format", OneOf(&["text", "json"])),
        optional("on_stop", OneOf(&["deregister", "keep"])),
    ],
    aliases: &[],
};

/// `[status]`.
pub const STATUS: TableKeys = TableKeys {
    table: "[status]",
    keys: &[
        optional("socket", Text),
        optional("group", Text),
        optional("listen", Text),
        optional("hosts", List(&Text)),
    ],
    aliases: &[],
};

/// `[jones]`.
pub const JONES: TableKeys = TableKeys {
    table: "[jones]",
    keys: &[
        optional("listen", Text),
        optional("write", Boolean),
        optional("hosts", List(&Text)),
        optional("auth", OneOf(&["basic", "header"])),
        optional("users", Text),
        optional("header", Text),
        optional("proxies", List(&Text)),
        optional("viewers", Map(&List(&Text))),
        optional("editors", Map(&List(&Text))),
        optional("mask", List(&Text)),
        optional("record", Boolean),
        optional("check", Map(&Table("[jones.check]"))),
    ],
    aliases: &[],
};

/// `[jones.check.SERVICE]`.
pub const JONES_CHECK: TableKeys = TableKeys {
    table: "[jones.check]",
    keys: &[optional("schema", Text), optional("cmd", COMMAND), optional("timeout", DURATION)],
    aliases: &[],
};

/// `[history]`.
pub const HISTORY: TableKeys = TableKeys {
    table: "[history]",
    keys: &[optional("generations", Count(0, 1000)), optional("max_size", Text)],
    aliases: &[],
};

/// `[[roster]]`.
pub const ROSTER: TableKeys = TableKeys {
    table: "[[roster]]",
    keys: &[
        optional("name", IDENTIFIER),
        optional("registry", Text),
        required("path", Text),
        optional("payload", Either(&[OneOf(&Payload::NAMES), Table("[[roster]] payload")])),
        optional("where", Text),
        optional("min", Count(0, MAX)),
        optional("max", Count(1, MAX)),
        optional("above_max", OneOf(&["cut", "hold"])),
        optional("pick", OneOf(&["first", "spread"])),
        optional("order", OneOf(&["name", "id", "weight"])),
        optional("slot_keep", DURATION),
        optional("wait", Either(&[Pattern("^[^:]+(:[^:]+)?$"), Table("[[roster]] wait")])),
        optional("max_shrink", Pattern("^(100|[0-9]{1,2}) *%$")),
        optional("hold_max", DURATION),
    ],
    aliases: &[],
};

/// The keys of `payload = { … }` that name a field of JSON data.
pub const PAYLOAD_FIELDS: [&str; 5] = ["host", "port", "id", "weight", "status"];

/// `payload = { … }`.
pub const PAYLOAD: TableKeys = TableKeys {
    table: "[[roster]] payload",
    keys: &[
        optional("format", OneOf(&Payload::NAMES)),
        optional("every_child", Boolean),
        optional("host", Text),
        optional("port", Text),
        optional("id", Text),
        optional("weight", Text),
        optional("status", Text),
    ],
    aliases: &[],
};

/// `wait = { … }`, as consul-template writes it.
pub const WAIT: TableKeys =
    TableKeys { table: "[[roster]] wait", keys: &[required("min", DURATION), optional("max", DURATION)], aliases: &[] };

/// `[[key]]`.
pub const KEY: TableKeys = TableKeys {
    table: "[[key]]",
    keys: &[
        optional("name", IDENTIFIER),
        optional("registry", Text),
        optional("path", Text),
        optional("format", OneOf(&["text", "json", "toml", "yaml"])),
        optional("jones", Text),
        optional("host", Text),
        optional("unmapped", OneOf(&["root", "hold"])),
    ],
    aliases: &[],
};

/// The maximum number of backups.
pub const MAX_BACKUPS: u32 = 99;

/// `[[template]]`.
pub const TEMPLATE: TableKeys = TableKeys {
    table: "[[template]]",
    keys: &[
        optional("name", Text),
        required("src", Text),
        required("dest", Text),
        optional("mode", Pattern("^0*[0-7]{1,4}$")),
        optional("owner", ID),
        optional("group", ID),
        optional("check_cmd", COMMAND),
        optional("reload_cmd", Either(&[COMMAND, Table("[[template]] reload_cmd")])),
        optional("check_timeout", DURATION),
        optional("reload_timeout", DURATION),
        optional("reload_interval", DURATION),
        optional("reload_retries", Either(&[OneOf(&["unlimited"]), Count(1, MAX)])),
        optional("verify_cmd", COMMAND),
        optional("verify_timeout", DURATION),
        optional("splay", DURATION),
        optional("on_reload_failure", OneOf(&["retry", "rollback"])),
        optional("unit", IDENTIFIER),
        optional("make_dirs", Boolean),
        optional("env", Map(&String)),
        optional("isolate", Boolean),
        optional("on_drift", OneOf(&["correct", "report"])),
        optional("each", Text),
        optional("on_gone", OneOf(&["remove", "keep"])),
        optional("write", OneOf(&["atomic", "inplace", "auto"])),
        optional("symlink", OneOf(&["refuse", "follow"])),
        optional("backup", Count(0, MAX_BACKUPS)),
        optional("block", Pattern("^[A-Za-z0-9._-]{1,64}$")),
        optional("block_comment", Pattern("^[!-~]{1,8}$")),
    ],
    aliases: &[
        ("dst", "dest"),
        ("destination", "dest"),
        ("source", "src"),
        ("perms", "mode"),
        ("user", "owner"),
        ("create_dest_dirs", "make_dirs"),
        ("command", "reload_cmd"),
        ("command_timeout", "reload_timeout"),
    ],
};

/// Keys of `[template]` in confd besides those of [`TEMPLATE`].
pub const CONFD: TableKeys = TableKeys {
    table: "[template]",
    keys: &[optional("keys", List(&Text)), optional("prefix", String), optional("uid", ID), optional("gid", ID)],
    aliases: &[],
};

/// Settings of confd.toml, confd's main configuration file.
pub const CONFD_FILE: [&str; 18] = [
    "backend",
    "basic_auth",
    "client_cakeys",
    "client_cert",
    "client_key",
    "confdir",
    "interval",
    "log-level",
    "nodes",
    "noop",
    "onetime",
    "password",
    "prefix",
    "scheme",
    "srv_domain",
    "sync-only",
    "username",
    "watch",
];

/// `reload_cmd = { … }`.
pub const SIGNAL: TableKeys = TableKeys {
    table: "[[template]] reload_cmd",
    keys: &[required("signal", Text), required("pid_file", Text)],
    aliases: &[],
};

/// `[exec]`.
pub const EXEC: TableKeys = TableKeys {
    table: "[exec]",
    keys: &[
        optional("cmd", COMMAND),
        optional("env", Map(&String)),
        optional("reload_signal", Text),
        optional("kill_signal", Text),
        optional("kill_timeout", DURATION),
        optional("splay", DURATION),
        optional("on_exit", OneOf(&["restart", "stop"])),
        optional("lock", IDENTIFIER),
    ],
    aliases: &[],
};

/// `[[service]]`.
pub const SERVICE: TableKeys = TableKeys {
    table: "[[service]]",
    keys: &[
        optional("name", Text),
        optional("registry", Text),
        required("path", Text),
        optional("host", Text),
        required("port", Count(1, 65535)),
        optional("format", OneOf(&["nextdoor", "serverset", "nerve", "curator"])),
        optional("data", Either(&[Map(&Any), Text])),
        optional("data_cmd", Either(&[COMMAND, Table("[[service]] data_cmd")])),
        required("check", Table("[[service]] check")),
        optional("interval", DURATION),
        optional("timeout", DURATION),
        optional("rise", Count(1, MAX)),
        optional("fall", Count(1, MAX)),
        optional("drain", DURATION),
    ],
    aliases: &[],
};

/// `[[lock]]`.
pub const LOCK: TableKeys = TableKeys {
    table: "[[lock]]",
    keys: &[
        optional("name", IDENTIFIER),
        optional("registry", Text),
        required("path", Text),
        optional("identifier", Text),
    ],
    aliases: &[],
};

/// `check = { … }`.
pub const CHECK: TableKeys = TableKeys {
    table: "[[service]] check",
    keys: &[
        optional("cmd", COMMAND),
        optional("tcp", Text),
        optional("http", Pattern("^https?://")),
        optional("systemd", Text),
        optional("pid_file", Text),
        optional("all", List(&Table("[[service]] check"))),
        optional("expect", Count(0, 65535)),
        optional("headers", Map(&Text)),
        optional("body", Text),
        optional("ca", Text),
    ],
    aliases: &[],
};

/// `data_cmd = { … }`.
pub const DATA_CMD: TableKeys = TableKeys {
    table: "[[service]] data_cmd",
    keys: &[required("cmd", COMMAND), optional("interval", DURATION), optional("timeout", DURATION)],
    aliases: &[],
};

/// Every table. `[vars]` and `env` accept any key and are not listed.
pub const TABLES: [&TableKeys; 21] = [
    &TOP,
    &REGISTRY,
    &AUTH,
    &TLS,
    &AGENT,
    &STATUS,
    &HISTORY,
    &ROSTER,
    &PAYLOAD,
    &WAIT,
    &KEY,
    &TEMPLATE,
    &CONFD,
    &SIGNAL,
    &SERVICE,
    &CHECK,
    &DATA_CMD,
    &LOCK,
    &EXEC,
    &JONES,
    &JONES_CHECK,
];

impl TableKeys {
    /// The key for a spelling.
    #[must_use]
    pub fn canonical(&self, written: &str) -> Option<&'static str> {
        let alias = self.aliases.iter().find(|(alias, _)| *alias == written).map(|(_, key)| *key);
        alias.or_else(|| self.keys.iter().map(|key| key.name).find(|key| *key == written))
    }
}

const fn optional(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, is_required: false }
}

const fn required(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, is_required: true }
}
