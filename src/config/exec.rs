//! `[exec]`: the program that the agent runs and keeps running.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::command::{command, reject_placeholders, signal};
use super::keys::EXEC;
use super::lock::{LockConfig, known_lock};
use super::problem::ValueError;
use super::table::{Table, single};
use super::template::env;
use super::{Command, Reload, TemplateConfig};

/// The program that the agent runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExecConfig {
    /// The program.
    pub cmd: Command,
    /// Added to the environment of the agent.
    pub env: BTreeMap<String, String>,
    /// The signal that reloads it, as `kill(1)` names it, without SIG. `None` restarts it instead.
    pub reload_signal: Option<String>,
    /// The signal that stops it.
    pub kill_signal: String,
    /// How long it may take to stop before it is killed.
    pub kill_timeout: Duration,
    /// The maximum random delay of a reload or restart after a change.
    pub splay: Duration,
    /// What to do when it exits.
    pub on_exit: OnExit,
    /// The lock without which it does not run.
    pub lock: Option<Arc<str>>,
    /// Whether the agent stops if it cannot be started the first time: it was given on the command line, as to a shell.
    #[serde(skip)]
    pub must_start: bool,
}

/// What to do when the program exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExit {
    /// Restart it.
    Restart,
    /// Stop the agent with the exit code of the program.
    Stop,
}

impl ExecConfig {
    /// A program with the defaults.
    pub fn new(cmd: Command) -> Self {
        Self {
            cmd,
            env: BTreeMap::new(),
            reload_signal: None,
            kill_signal: "TERM".to_owned(),
            kill_timeout: Duration::from_secs(30),
            splay: Duration::ZERO,
            on_exit: OnExit::Restart,
            lock: None,
            must_start: false,
        }
    }

    /// Whether both run the same command with the same environment. Other settings take effect without a restart.
    #[must_use]
    pub fn is_same_program(&self, other: &Self) -> bool {
        (&self.cmd, &self.env) == (&other.cmd, &other.env)
    }
}

/// Reads `[exec]`. `given` is the program on the command line, which has precedence over `cmd`; it is `None` for
/// commands that run no program.
pub fn exec(tops: &[Table<'_>], given: Option<&[String]>, locks: &[Arc<LockConfig>]) -> Option<Arc<ExecConfig>> {
    let table = single(tops, "exec").and_then(|value| value.section(&[&EXEC]));
    let get = |key| table.as_ref().and_then(|table| table.get(key));
    let written = get("cmd").and_then(|value| {
        let cmd = command(&value)?;
        reject_placeholders(&value, &cmd)?;
        Some(cmd)
    });
    let name = |key| get(key).and_then(|value| value.read(signal, "\"TERM\""));
    let (reload_signal, kill_signal) = (name("reload_signal"), name("kill_signal"));
    let kill_timeout = get("kill_timeout").and_then(|value| value.duration("\"30s\""));
    let splay = get("splay").and_then(|value| value.duration("\"10s\""));
    let on_exit =
        get("on_exit").and_then(|value| value.choice(&[("restart", OnExit::Restart), ("stop", OnExit::Stop)]));
    let lock = get("lock").and_then(|value| value.accept(known_lock(value.text("\"leader\"")?, locks)));
    let env = get("env").map(|value| env(&value)).unwrap_or_default();
    let given = given?;
    if let Some(table) = table.filter(|table| given.is_empty() && table.get("cmd").is_none()) {
        let wrong = ValueError::new("[exec] has no `cmd`", "add cmd = \"…\", or give it as `rosterd run -- CMD`");
        table.report.error(table.problem(wrong));
    }
    let cmd = if given.is_empty() { written? } else { Command::Exec(given.to_vec()) };
    let plain = ExecConfig::new(cmd);
    let must_start = !given.is_empty() && on_exit.is_none();
    Some(Arc::new(ExecConfig {
        env,
        reload_signal,
        kill_signal: kill_signal.unwrap_or(plain.kill_signal),
        kill_timeout: kill_timeout.unwrap_or(plain.kill_timeout),
        splay: splay.unwrap_or(plain.splay),
        on_exit: on_exit.unwrap_or(plain.on_exit),
        lock,
        must_start,
        cmd: plain.cmd,
    }))
}

/// If there is a program, a template without a reload reloads the program.
pub fn default_reload_to_program(templates: Vec<Arc<TemplateConfig>>) -> Vec<Arc<TemplateConfig>> {
    let serve = |template: Arc<TemplateConfig>| match template.reload {
        Some(_) => template,
        None => Arc::new(TemplateConfig { reload: Some(Reload::Program), ..(*template).clone() }),
    };
    templates.into_iter().map(serve).collect()
}
