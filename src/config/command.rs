//! Commands: `check_cmd`, `reload_cmd` and others.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::sys::signal::Signal;
use serde::Serialize;
use toml::de::DeValue;

use super::file::check_permissions;
use super::keys::SIGNAL;
use super::problem::ValueError;
use super::scalar;
use super::table::Value;

#[cfg(test)]
mod tests;

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum Command {
    /// A string, run with `sh -c`.
    Shell(String),
    /// A list, executed directly; never empty.
    Exec(Vec<String>),
}

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder<'a> {
    /// `{{ src }}`: the staged file.
    Src,
    /// `{{ dest }}`: the destination.
    Dest,
    /// `{{ staged.NAME }}` or `{{ staged['NAME'] }}`: the staged file of a template of the same unit.
    Staged(&'a str),
}

impl<'a> Placeholder<'a> {
    /// Parses what is between the braces. confd's `{{.src}}` is supported too.
    fn parse(inside: &'a str) -> Option<Self> {
        match inside.trim().trim_start_matches('.') {
            "src" => Some(Self::Src),
            "dest" => Some(Self::Dest),
            other => staged_name(other).map(Self::Staged),
        }
    }
}

/// The name in `staged.NAME`, `staged['NAME']` or `staged["NAME"]`.
fn staged_name(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("staged")?.trim();
    if let Some(name) = rest.strip_prefix('.') {
        return Some(name.trim()).filter(|name| scalar::is_identifier(name));
    }
    let inside = rest.strip_prefix('[')?.strip_suffix(']')?.trim();
    ['\'', '"'].into_iter().find_map(|quote| inside.strip_prefix(quote)?.strip_suffix(quote))
}

impl Command {
    /// The command with its placeholders substituted, without quoting. One without a value is kept.
    #[must_use]
    pub fn fill(&self, value: &dyn Fn(Placeholder<'_>) -> Option<String>) -> Self {
        let fill = |text: &String| fill_placeholders(text, value);
        match self {
            Self::Shell(text) => Self::Shell(fill(text)),
            Self::Exec(list) => Self::Exec(list.iter().map(fill).collect()),
        }
    }

    /// The command once the file is in place: `{{ src }}` and `{{ dest }}` are both its destination.
    #[must_use]
    pub fn fill_dest(&self, dest: &Path) -> Self {
        let dest = dest.to_string_lossy();
        self.fill(&|placeholder| (!matches!(placeholder, Placeholder::Staged(_))).then(|| dest.to_string()))
    }

    /// Its placeholders, each with its text.
    pub fn placeholders(&self) -> impl Iterator<Item = (&str, Placeholder<'_>)> {
        let words = match self {
            Self::Shell(text) => std::slice::from_ref(text),
            Self::Exec(list) => list,
        };
        let found = words.iter().flat_map(|word| placeholders(word));
        found.filter_map(|(part, inside)| Some((part, Placeholder::parse(inside)?)))
    }

    /// The templates of its unit that it names with `staged`, each with the text of its placeholder.
    pub fn staged(&self) -> impl Iterator<Item = (&str, &str)> {
        self.placeholders().filter_map(|(part, placeholder)| match placeholder {
            Placeholder::Staged(name) => Some((part, name)),
            Placeholder::Src | Placeholder::Dest => None,
        })
    }
}

/// Replaces the placeholders that have a value.
fn fill_placeholders(text: &str, value: &dyn Fn(Placeholder<'_>) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let (before, after) = rest.split_at(open);
        out.push_str(before);
        let value = after.find("}}").and_then(|close| Some((value(Placeholder::parse(&after[2..close])?)?, close + 2)));
        if let Some((value, used)) = value {
            out.push_str(&value);
            rest = &after[used..];
        } else {
            out.push_str("{{");
            rest = &after[2..];
        }
    }
    out.push_str(rest);
    out
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell(text) => f.write_str(text),
            Self::Exec(list) => f.write_str(&list.join(" ")),
        }
    }
}

/// How software reloads a replaced file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum Reload {
    /// A command; exit code 0 means success.
    Command(Command),
    /// A signal to the process with the PID in a file.
    Signal {
        /// The name as in `kill(1)`, without SIG.
        signal: String,
        /// The PID file.
        pid_file: PathBuf,
    },
    /// Reload the program that the agent runs (`[exec]`).
    Program,
}

impl Reload {
    /// Substitutes `{{ src }}` and `{{ dest }}`. Once a file is in place, both are its destination.
    #[must_use]
    pub fn filled(self, dest: &Path) -> Self {
        match self {
            Self::Command(command) => Self::Command(command.fill_dest(dest)),
            other @ (Self::Signal { .. } | Self::Program) => other,
        }
    }
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => command.fmt(f),
            Self::Signal { signal, pid_file } => write!(f, "SIG{signal} to the pid in {}", pid_file.display()),
            Self::Program => f.write_str("[exec]"),
        }
    }
}

const EXAMPLE: &str = "\"haproxy -c -f {{ src }}\"";

/// The example of a command without a shell.
const LIST_EXAMPLE: &str = "[\"haproxy\", \"-c\", \"-f\", \"{{ src }}\"]";

/// A string, for `sh -c`, or a list, for direct execution. Its placeholders are kept.
pub fn command(value: &Value<'_>) -> Option<Command> {
    let command = match value.raw() {
        DeValue::String(_) => Command::Shell(word(value)?.to_owned()),
        DeValue::Array(_) => {
            let items = value.items(EXAMPLE)?;
            if items.is_empty() {
                let hint = format!("name the program and its arguments, or remove `{}`", value.key);
                value.reject(ValueError::new(format!("`{}` is an empty list", value.key), hint));
                return None;
            }
            let words: Vec<Option<String>> =
                items.iter().enumerate().map(|(at, item)| argument(item, at).map(str::to_owned)).collect();
            let words = words.into_iter().collect::<Option<Vec<_>>>()?;
            if let Some(program) = words.first().map(Path::new).filter(|program| program.is_absolute()) {
                check_permissions(program, "the program", None, value.report, &|wrong| value.reject(wrong));
            }
            Command::Exec(words)
        }
        _ => {
            value.reject_kind("a string or a list of strings", EXAMPLE);
            return None;
        }
    };
    Some(command)
}

/// A command, or `{ signal = …, pid_file = … }`. Placeholders are kept.
pub fn reload(value: &Value<'_>) -> Option<Reload> {
    if !matches!(value.raw(), DeValue::Table(_)) {
        return command(value).map(Reload::Command);
    }
    let table = value.table(&[&SIGNAL], "{ signal = \"HUP\", pid_file = \"/run/x.pid\" }")?;
    let signal = table.require("signal", "\"HUP\"").and_then(|value| value.read(signal, "\"HUP\""));
    let pid_file = table.require("pid_file", "\"/run/x.pid\"").and_then(|value| value.path("\"/run/x.pid\""));
    Some(Reload::Signal { signal: signal?, pid_file: pid_file? })
}

/// Parses the name of a signal, with or without SIG.
pub fn signal(text: &str) -> Result<String, ValueError> {
    let upper = text.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    Signal::from_str(&format!("SIG{short}")).map(|_| short.to_owned()).map_err(|_| {
        ValueError::new(
            format!("{text:?} is not a valid signal"),
            "write a name from `kill -l`, such as HUP, USR1 or USR2",
        )
    })
}

/// A nonempty string with known placeholders.
fn word<'a>(value: &Value<'a>) -> Option<&'a str> {
    let text = text(value)?;
    if text.trim().is_empty() {
        value.reject(ValueError::new(
            format!("`{}` is empty", value.key),
            format!("write a command, or remove `{}`", value.key),
        ));
        return None;
    }
    Some(text)
}

/// An element of a list. Only the first, the program, must not be empty.
fn argument<'a>(item: &Value<'a>, at: usize) -> Option<&'a str> {
    if at == 0 { word(item) } else { text(item) }
}

/// A string for a command line. It may contain line breaks, but no NUL and no unknown placeholders.
fn text<'a>(value: &Value<'a>) -> Option<&'a str> {
    let DeValue::String(text) = value.raw() else {
        value.reject_kind("a string", LIST_EXAMPLE);
        return None;
    };
    if text.contains('\0') {
        value.reject(ValueError::new(format!("`{}` contains a NUL", value.key), "remove it"));
        return None;
    }
    if let Some((part, wrong)) = unknown_placeholder(text, value.key == "check_cmd") {
        value.reject_part(part, wrong);
        return None;
    }
    Some(text)
}

/// The first unknown placeholder of a command, and its error. Only a check sees staged files.
pub fn unknown_placeholder(text: &str, is_check: bool) -> Option<(&str, ValueError)> {
    let (part, name) = placeholders(text).find(|(_, inside)| match Placeholder::parse(inside) {
        Some(Placeholder::Staged(_)) => !is_check,
        placeholder => placeholder.is_none(),
    })?;
    let name = name.trim().trim_start_matches('.');
    let message = format!("{{{{ {name} }}}} is not a variable of this command");
    let hint = match name.strip_prefix("staged.") {
        Some(_) if !is_check => {
            "`staged` is available in check_cmd only: later the files are at their destinations".to_owned()
        }
        Some(rest) => format!("write {{{{ staged['{rest}'] }}}}"),
        None => "{{ src }} is the staged file and {{ dest }} the destination; ROSTERD_CHANGED and others are in the \
                 command's environment; to write literal braces, put a space between them: { {"
            .to_owned(),
    };
    Some((part, ValueError::new(message, hint)))
}

/// Rejects placeholders in commands that do not run for one file.
pub fn reject_placeholders(value: &Value<'_>, command: &Command) -> Option<()> {
    let Some((part, _)) = command.placeholders().next() else { return Some(()) };
    let message = format!("{part} is not available in `{}`, which does not run for a single file", value.key);
    value.reject_part(part, ValueError::new(message, "write the file's path"));
    None
}

/// Every text in double braces, and what is between them.
fn placeholders(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let open = rest.find("{{")?;
        let after = &rest[open..];
        let close = after.find("}}")?;
        rest = &after[close + 2..];
        Some((&after[..close + 2], &after[2..close]))
    })
}

/// Rejects a path with characters that are special to a shell: it is substituted into shell commands without quotes.
pub fn shell_path(command: &Command, key: &str, dest: &Path) -> Result<(), ValueError> {
    let Command::Shell(_) = command else { return Ok(()) };
    let dest = dest.to_string_lossy();
    let odd = dest.chars().find(|c| !(c.is_ascii_alphanumeric() || "/._:@+=,-".contains(*c)));
    match odd.filter(|_| command.placeholders().next().is_some()) {
        None => Ok(()),
        Some(odd) => Err(ValueError::new(
            format!("the path {dest:?} has {odd:?}, which may be special to the shell that runs `{key}`"),
            format!("write {key} as a list, which is run without a shell: [\"program\", \"{{{{ dest }}}}\"]"),
        )),
    }
}
