//! Every key of the configuration, by table.
//!
//! The parser rejects other keys, and a test compares the list with docs/configuration.md.

/// The keys of one table.
#[derive(Debug, PartialEq, Eq)]
pub struct TableKeys {
    /// The name of the table: `[[roster]]`; for a table in a key, `[registry] tls`.
    pub table: &'static str,
    /// Its keys.
    pub keys: &'static [&'static str],
    /// Aliases from confd and its relatives, each with its key.
    pub aliases: &'static [(&'static str, &'static str)],
}

/// Keys outside of any table.
pub const TOP: TableKeys = TableKeys {
    table: "the top-level table",
    keys: &["include", "registry", "agent", "status", "vars", "roster", "key", "template", "service", "exec"],
    aliases: &[],
};

/// `[registry]` and `[[registry]]`.
pub const REGISTRY: TableKeys = TableKeys {
    table: "[registry]",
    keys: &["name", "url", "interval", "timeout", "session_timeout", "auth", "tls", "exhibitor", "watches"],
    aliases: &[],
};

/// One of `auth = [{ … }]`.
pub const AUTH: TableKeys = TableKeys { table: "[registry] auth", keys: &["scheme", "file"], aliases: &[] };

/// `tls = { … }`.
pub const TLS: TableKeys = TableKeys { table: "[registry] tls", keys: &["ca", "cert", "key"], aliases: &[] };

/// `[agent]`.
pub const AGENT: TableKeys = TableKeys {
    table: "[agent]",
    keys: &["name", "state_dir", "template_dir", "trust", "log_format", "on_stop"],
    aliases: &[],
};

/// `[status]`.
pub const STATUS: TableKeys =
    TableKeys { table: "[status]", keys: &["socket", "group", "listen", "hosts"], aliases: &[] };

/// `[[roster]]`.
pub const ROSTER: TableKeys = TableKeys {
    table: "[[roster]]",
    keys: &[
        "name",
        "registry",
        "path",
        "payload",
        "where",
        "min",
        "max",
        "above_max",
        "pick",
        "order",
        "slot_keep",
        "wait",
        "max_shrink",
        "hold_max",
    ],
    aliases: &[],
};

/// The keys of `payload = { … }` that name a field of JSON data.
pub const PAYLOAD_FIELDS: [&str; 5] = ["host", "port", "id", "weight", "status"];

/// `payload = { … }`.
pub const PAYLOAD: TableKeys = TableKeys {
    table: "[[roster]] payload",
    keys: &["format", "every_child", "host", "port", "id", "weight", "status"],
    aliases: &[],
};

/// `wait = { … }`, as consul-template writes it.
pub const WAIT: TableKeys = TableKeys { table: "[[roster]] wait", keys: &["min", "max"], aliases: &[] };

/// `[[key]]`.
pub const KEY: TableKeys = TableKeys { table: "[[key]]", keys: &["name", "registry", "path", "format"], aliases: &[] };

/// `[[template]]`.
pub const TEMPLATE: TableKeys = TableKeys {
    table: "[[template]]",
    keys: &[
        "name",
        "src",
        "dest",
        "mode",
        "owner",
        "group",
        "check_cmd",
        "reload_cmd",
        "check_timeout",
        "reload_timeout",
        "reload_interval",
        "reload_retries",
        "verify_cmd",
        "verify_timeout",
        "splay",
        "on_reload_failure",
        "unit",
        "make_dirs",
        "env",
        "isolate",
        "on_drift",
        "each",
        "on_gone",
        "write",
        "symlink",
        "backup",
        "block",
        "block_comment",
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
pub const CONFD: TableKeys = TableKeys { table: "[template]", keys: &["keys", "prefix", "uid", "gid"], aliases: &[] };

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
pub const SIGNAL: TableKeys =
    TableKeys { table: "[[template]] reload_cmd", keys: &["signal", "pid_file"], aliases: &[] };

/// `[exec]`.
pub const EXEC: TableKeys = TableKeys {
    table: "[exec]",
    keys: &["cmd", "env", "reload_signal", "kill_signal", "kill_timeout", "splay", "on_exit"],
    aliases: &[],
};

/// `[[service]]`.
pub const SERVICE: TableKeys = TableKeys {
    table: "[[service]]",
    keys: &[
        "name", "registry", "path", "host", "port", "format", "data", "data_cmd", "check", "interval", "timeout",
        "rise", "fall", "drain",
    ],
    aliases: &[],
};

/// `check = { … }`.
pub const CHECK: TableKeys = TableKeys {
    table: "[[service]] check",
    keys: &["cmd", "tcp", "http", "systemd", "pid_file", "all", "expect", "headers", "body", "ca"],
    aliases: &[],
};

/// `data_cmd = { … }`.
pub const DATA_CMD: TableKeys =
    TableKeys { table: "[[service]] data_cmd", keys: &["cmd", "interval", "timeout"], aliases: &[] };

/// Every table. `[vars]` and `env` accept any key and are not listed.
#[cfg(test)]
pub const TABLES: [&TableKeys; 17] = [
    &TOP, &REGISTRY, &AUTH, &TLS, &AGENT, &STATUS, &ROSTER, &PAYLOAD, &WAIT, &KEY, &TEMPLATE, &CONFD, &SIGNAL,
    &SERVICE, &CHECK, &DATA_CMD, &EXEC,
];

impl TableKeys {
    /// The key for a spelling.
    #[must_use]
    pub fn canonical(&self, written: &str) -> Option<&'static str> {
        let alias = self.aliases.iter().find(|(alias, _)| *alias == written).map(|(_, key)| *key);
        alias.or_else(|| self.keys.iter().copied().find(|key| *key == written))
    }
}
