//! The environment of a command.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// The PATH of commands if the agent has none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a service manager tells the process that it starts, in `sd_notify(3)`.
pub const SERVICE_MANAGER: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];
/// The LANG of commands if the agent has none.
const DEFAULT_LANG: &str = "C.UTF-8";

/// The complete environment of a command. The agent adds nothing of its own.
pub type Environment = BTreeMap<String, OsString>;

/// The `ROSTERD_*` variables of a command. They never hold a member's data.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    /// `ROSTERD_TEMPLATE`: the template's name.
    pub template: &'a str,
    /// `ROSTERD_SRC`: the file with the new bytes, which for a check is the staged one.
    pub src: &'a str,
    /// `ROSTERD_DEST`: the destination.
    pub dest: &'a str,
    /// `ROSTERD_CHANGED`: the destinations that the command is run for, separated by `:`.
    pub changed: &'a str,
}

/// A clean environment: PATH and LANG.
pub fn clean() -> Environment {
    let inherited = |name: &str, default: &str| {
        std::env::var_os(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.into())
    };
    Environment::from([
        ("PATH".to_owned(), inherited("PATH", DEFAULT_PATH)),
        ("LANG".to_owned(), inherited("LANG", DEFAULT_LANG)),
    ])
}

/// A clean environment, then what the template sets, then the `ROSTERD_*` variables.
pub fn environment(template: &BTreeMap<String, String>, variables: &Variables<'_>) -> Environment {
    let mut all = clean();
    all.extend(template.iter().map(|(name, value)| (name.clone(), value.into())));
    let own_variables = [
        ("ROSTERD_TEMPLATE", variables.template),
        ("ROSTERD_SRC", variables.src),
        ("ROSTERD_DEST", variables.dest),
        ("ROSTERD_CHANGED", variables.changed),
    ];
    all.extend(own_variables.map(|(name, value)| (name.to_owned(), value.into())));
    all
}
