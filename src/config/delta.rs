//! What differs between two configurations, in words for the log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::time::Duration;

use super::{AboveMax, Config, ExecConfig, KeyConfig, RegistryConfig, RosterConfig, TemplateConfig};

/// One setting by its key, as a person reads it.
type Setting<'a> = (&'a str, String);

/// Every difference, one a line: `roster memcached changed: min 1 → 2`. Empty where the two mean the same. No secret is
/// in it.
#[must_use]
pub fn delta(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    let registries = Kind { what: "registry", settings: registry, hidden: "its credentials" };
    registries.compare(&mut lines, &named(&old.registries, |it| &it.name), &named(&new.registries, |it| &it.name));
    lines.extend(changed("agent", &agent(old), &agent(new)));
    lines.extend(changed("vars", &vars(old), &vars(new)));
    let rosters = Kind { what: "roster", settings: roster, hidden: "what its where names" };
    rosters.compare(&mut lines, &named(&old.rosters, |it| &it.name), &named(&new.rosters, |it| &it.name));
    let keys = Kind { what: "key", settings: key, hidden: "" };
    keys.compare(&mut lines, &named(&old.keys, |it| &it.name), &named(&new.keys, |it| &it.name));
    let templates = Kind { what: "template", settings: template, hidden: "values in its env" };
    templates.compare(&mut lines, &named(&old.templates, |it| &it.name), &named(&new.templates, |it| &it.name));
    let programs = Kind { what: "program", settings: exec, hidden: "values in its env" };
    programs.compare(&mut lines, &program(old), &program(new));
    lines
}

/// A list by its elements' names.
fn named<T>(list: &[Arc<T>], name: impl Fn(&T) -> &Arc<str>) -> BTreeMap<Arc<str>, &T> {
    list.iter().map(|item| (name(item).clone(), &**item)).collect()
}

/// The program, if there is one.
fn program(config: &Config) -> BTreeMap<Arc<str>, &ExecConfig> {
    config.exec.iter().map(|exec| (Arc::from("[exec]"), &**exec)).collect()
}

/// How one kind of thing is compared.
struct Kind<T> {
    /// The word for it.
    what: &'static str,
    /// What is shown of it.
    settings: fn(&T) -> Vec<Setting<'static>>,
    /// What is not shown of it, and may differ nevertheless.
    hidden: &'static str,
}

impl<T: PartialEq> Kind<T> {
    /// What was added to a list, taken out of it and changed in it.
    fn compare(&self, lines: &mut Vec<String>, old: &BTreeMap<Arc<str>, &T>, new: &BTreeMap<Arc<str>, &T>) {
        let what = self.what;
        for (name, item) in old {
            let Some(other) = new.get(name) else {
                lines.push(format!("{what} {name} removed"));
                continue;
            };
            let shown = changed(&format!("{what} {name}"), &(self.settings)(item), &(self.settings)(other));
            if shown.is_none() && item != other {
                lines.push(format!("{what} {name} changed: {}", self.hidden));
            }
            lines.extend(shown);
        }
        let added = new.keys().filter(|name| !old.contains_key(*name));
        lines.extend(added.map(|name| format!("{what} {name} added")));
    }
}

/// The settings that differ; one that only one side has is `none` on the other.
fn changed(what: &str, old: &[Setting<'_>], new: &[Setting<'_>]) -> Option<String> {
    let value =
        |side: &[Setting<'_>], key| side.iter().find(|(other, _)| *other == key).map(|(_, value)| value.clone());
    let both: BTreeSet<&str> = old.iter().chain(new).map(|(key, _)| *key).collect();
    let differences: Vec<String> = both
        .into_iter()
        .map(|key| (key, value(old, key), value(new, key)))
        .filter(|(_, old, new)| old != new)
        .map(|(key, old, new)| format!("{key} {} → {}", maybe(old), maybe(new)))
        .collect();
    (!differences.is_empty()).then(|| format!("{what} changed: {}", differences.join(", ")))
}

/// A setting that may not be there.
fn maybe<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

/// A word as the configuration has it, of a variant without fields.
fn word(value: impl Debug) -> String {
    format!("{value:?}").to_lowercase()
}

/// A duration as the configuration has it.
fn time(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Several texts as one; `none` without any.
fn list(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(" ") }
}

fn registry(it: &RegistryConfig) -> Vec<Setting<'static>> {
    let tls = it.tls.iter().flat_map(|tls| {
        let identity = tls.identity.iter().flat_map(|(cert, key)| [cert, key]);
        tls.ca.iter().chain(identity).map(|file| file.display().to_string())
    });
    vec![
        ("url", it.url.to_string()),
        ("session_timeout", time(it.session_timeout)),
        ("auth", list(it.auth.iter().map(|auth| auth.file.display().to_string()))),
        ("tls", list(tls)),
        ("exhibitor", list(it.exhibitor.iter().cloned())),
        ("watches", word(it.watches)),
    ]
}

fn agent(config: &Config) -> Vec<Setting<'static>> {
    let it = &config.agent;
    vec![
        ("name", it.name.clone()),
        ("state_dir", it.state_dir.display().to_string()),
        ("template_dir", it.template_dir.display().to_string()),
        ("log_format", word(it.log_format)),
        ("socket", config.status.socket.display().to_string()),
        ("group", maybe(config.status.group)),
    ]
}

fn vars(config: &Config) -> Vec<Setting<'_>> {
    config.vars.iter().map(|(key, value)| (key.as_str(), value.to_string())).collect()
}

fn roster(it: &RosterConfig) -> Vec<Setting<'static>> {
    vec![
        ("registry", it.registry.to_string()),
        ("path", it.subject.to_string()),
        ("payload", it.payload.to_string()),
        ("min", it.bounds.min().to_string()),
        ("max", maybe(it.bounds.max())),
        ("above_max", if it.bounds.above_max() == AboveMax::Cut { "cut" } else { "hold" }.to_owned()),
        ("where", maybe(it.filter.as_ref())),
        ("pick", word(it.pick)),
        ("order", word(it.order)),
        ("slot_keep", time(it.slot_keep)),
        ("wait", format!("{}:{}", time(it.wait.quiet), time(it.wait.max))),
        ("max_shrink", format!("{}%", it.guard.max_shrink_percent)),
        ("hold_max", time(it.guard.hold_max)),
    ]
}

fn key(it: &KeyConfig) -> Vec<Setting<'static>> {
    vec![("registry", it.registry.to_string()), ("path", it.path.to_string()), ("format", word(it.format))]
}

fn template(it: &TemplateConfig) -> Vec<Setting<'static>> {
    vec![
        ("src", it.src.display().to_string()),
        ("dest", it.dest.display().to_string()),
        ("mode", maybe(it.mode.map(|mode| format!("{mode:04o}")))),
        ("owner", maybe(it.owner)),
        ("group", maybe(it.group)),
        ("check_cmd", maybe(it.check.as_ref())),
        ("reload_cmd", maybe(it.reload.as_ref())),
        ("check_timeout", time(it.check_timeout)),
        ("reload_timeout", time(it.reload_timeout)),
        ("reload_interval", time(it.reload_interval)),
        ("reload_retries", it.reload_retries.map_or_else(|| "unlimited".to_owned(), |tries| tries.to_string())),
        ("verify_cmd", maybe(it.verify.as_ref().map(|verify| &verify.command))),
        ("verify_timeout", maybe(it.verify.as_ref().map(|verify| time(verify.timeout)))),
        ("splay", time(it.splay)),
        ("on_reload_failure", word(it.on_reload_failure)),
        ("unit", maybe(it.unit.as_ref())),
        ("make_dirs", it.make_dirs.to_string()),
        ("isolate", it.isolate.to_string()),
        ("on_drift", word(it.on_drift)),
        ("write", word(it.placing.write)),
        ("symlink", word(it.placing.symlink)),
        ("backup", it.placing.backup.to_string()),
        ("block", maybe(it.placing.block.as_ref())),
        ("block_comment", maybe(it.placing.block.as_ref().map(|block| &block.comment))),
        ("each", maybe(it.each.as_ref().map(|each| &each.roster))),
        ("on_gone", maybe(it.each.as_ref().map(|each| word(each.on_gone)))),
        // By names only: values may be secrets.
        ("env", list(it.env.keys().cloned())),
    ]
}

fn exec(it: &ExecConfig) -> Vec<Setting<'static>> {
    vec![
        ("cmd", it.cmd.to_string()),
        ("reload_signal", maybe(it.reload_signal.as_ref())),
        ("kill_signal", it.kill_signal.clone()),
        ("kill_timeout", time(it.kill_timeout)),
        ("splay", time(it.splay)),
        ("on_exit", word(it.on_exit)),
        ("env", list(it.env.keys().cloned())),
    ]
}
