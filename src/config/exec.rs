//! `[exec]`: the program that the agent runs and keeps running.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::command::{command, reject_placeholders, signal};
use super::keys::EXEC;
use super::problem::ValueError;
use super::table::{Table, single};
use super::template::env;
use super::{Command, Reload, TemplateConfig};

/// The program that the agent runs, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExecConfig {
    /// The program.
    pub cmd: Command,
    /// Added to the agent's own environment.
    pub env: BTreeMap<String, String>,
    /// What makes it take up its files, as `kill(1)` names it, without SIG; `None`: it is restarted.
    pub reload_signal: Option<String>,
    /// What asks it to end.
    pub kill_signal: String,
    /// How long it may take to end before it is killed.
    pub kill_timeout: Duration,
    /// A reload or restart because of a change waits for a random time up to this.
    pub splay: Duration,
    /// What comes after its end.
    pub on_exit: OnExit,
}

/// What comes after the program's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExit {
    /// It is started again.
    Restart,
    /// The agent ends too, with its exit code.
    Stop,
}

impl ExecConfig {
    /// A program with every default.
    pub fn new(cmd: Command) -> Self {
        Self {
            cmd,
            env: BTreeMap::new(),
            reload_signal: None,
            kill_signal: "TERM".to_owned(),
            kill_timeout: Duration::from_secs(30),
            splay: Duration::ZERO,
            on_exit: OnExit::Restart,
        }
    }

    /// Whether a program that was started with the other is one that this asks for: the rest takes effect as it runs.
    #[must_use]
    pub fn is_same_program(&self, other: &Self) -> bool {
        (&self.cmd, &self.env) == (&other.cmd, &other.env)
    }
}

/// `[exec]` of all files and the command line's own program, which comes first. `None` where there is neither, and for
/// a command that runs no program: `given` is `None` then.
pub fn exec(tops: &[Table<'_>], given: Option<&[String]>) -> Option<Arc<ExecConfig>> {
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
    let env = get("env").map(|value| env(&value)).unwrap_or_default();
    let given = given?;
    if let Some(table) = table.filter(|table| given.is_empty() && table.get("cmd").is_none()) {
        let wrong = ValueError::new("[exec] has no `cmd`", "add cmd = \"…\", or give it as `rosterd run -- CMD`");
        table.report.error(table.problem(wrong));
    }
    let cmd = if given.is_empty() { written? } else { Command::Exec(given.to_vec()) };
    let plain = ExecConfig::new(cmd);
    Some(Arc::new(ExecConfig {
        env,
        reload_signal,
        kill_signal: kill_signal.unwrap_or(plain.kill_signal),
        kill_timeout: kill_timeout.unwrap_or(plain.kill_timeout),
        splay: splay.unwrap_or(plain.splay),
        on_exit: on_exit.unwrap_or(plain.on_exit),
        cmd: plain.cmd,
    }))
}

/// With a program to run, a template without a reload of its own is the program's.
pub fn default_reload_to_program(templates: Vec<Arc<TemplateConfig>>) -> Vec<Arc<TemplateConfig>> {
    let serve = |template: Arc<TemplateConfig>| match template.reload {
        Some(_) => template,
        None => Arc::new(TemplateConfig { reload: Some(Reload::Program), ..(*template).clone() }),
    };
    templates.into_iter().map(serve).collect()
}
