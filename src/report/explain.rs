//! The output of `explain NAME`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::conditions::{Condition, key_conditions, refused, roster_conditions, template_conditions};
use super::context::Context;
use super::services;
use super::words::{self, field, line};
use crate::config::{Order, key_name};
use crate::decide::report::{
    HoldReport, KeyReport, MemberRef, Report, RosterReport, RosterValue, SlottedMember, TemplateReport, plural,
};
use crate::jones::path::Service;
use crate::log::plain;
use crate::model::node_path::Subject;
use crate::text::command::rosterd;
use crate::text::one_line;
use crate::text::time::rough;

/// The maximum number of items in a list. `ls` has no limit.
const NAMED: usize = 500;

/// Explains the template, roster, key and service of this name, with a blank line between them; `None` if there is none.
pub fn explain(report: &Report, name: &str, context: &Context) -> Option<String> {
    let service = context.services.iter().find(|it| it.name == name);
    let key_report = report.keys.get(name).or_else(|| report.keys.get(&key_name(name)));
    let all = [
        report.templates.get(name).map(|it| template(report, it, context)),
        report.rosters.get(name).map(|it| roster(report, it, context)),
        key_report.map(|it| key(report, it, context)),
        service.map(|it| services::explain(it, &context.clock(report))),
    ];
    let all: Vec<String> = all.into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("\n"))
}

/// The names that can be explained.
pub fn names<'a>(report: &'a Report, context: &'a Context) -> BTreeSet<&'a str> {
    let all = report.templates.keys().chain(report.rosters.keys()).chain(report.keys.keys());
    all.map(|name| &**name).chain(context.services.iter().map(|it| &*it.name)).collect()
}

/// Writes conditions, a line each. A command's output follows on indented lines.
fn lines(out: &mut String, conditions: &[Condition]) {
    for condition in conditions {
        for (number, text) in condition.text.lines().enumerate() {
            let _ = writeln!(out, "{}{}", if number == 0 { "  " } else { "    " }, line(text));
        }
    }
}

fn template(report: &Report, it: &TemplateReport, context: &Context) -> String {
    let config = &it.config;
    let mut out = format!("template {}: {}\n", config.name, plain(&config.dest.display().to_string()));
    let conditions = template_conditions(report, it, context);
    lines(&mut out, &conditions);
    refusals(&mut out, context);
    if let Some(at) = it.rendered.filter(|_| conditions.iter().any(|condition| condition.blocking)) {
        let _ = writeln!(out, "  last up to date at {}", context.clock(report).past(at));
    }
    let names = report.rosters.keys().filter(|name| it.depends_on(name));
    let names: Vec<&str> = names.chain(&it.keys).map(|name| &**name).collect();
    if !names.is_empty() {
        let _ = writeln!(out, "  uses: {}", names.join(", "));
    }
    let files = report.files(&config.name).map(|(key, file)| {
        let removing = if file.removing { " (to be removed: its key is gone)" } else { "" };
        format!("{}: {}{removing}", field(key), plain(&file.config.dest.display().to_string()))
    });
    list(&mut out, "files", files);
    let without = it.without_file.iter().map(|(key, why)| format!("{}: {}", field(key), field(why)));
    list(&mut out, "keys without a file", without);
    out
}

fn roster(report: &Report, it: &RosterReport, context: &Context) -> String {
    let config = &it.config;
    let mut out = format!("roster {}: {} in registry {}\n", config.name, config.subject, config.registry);
    let mut conditions = roster_conditions(report, it, &context.clock(report));
    // Conditions refer to this screen.
    let reference = format!("details: {}", rosterd(&["explain", &config.name]));
    for condition in &mut conditions {
        condition.text = condition.text.replace(&reference, "see below");
    }
    if !conditions.iter().any(|condition| condition.blocking) {
        out.push_str("  fresh\n");
    }
    lines(&mut out, &conditions);
    refusals(&mut out, context);
    payload(&mut out, it);
    if let Some(order) = order_name(config.order) {
        let _ = writeln!(out, "  ordered by {order}, then by name");
    }
    match &it.value {
        None => {}
        Some(RosterValue::List(slotted)) => members(&mut out, "members", slotted),
        Some(RosterValue::Map(keys)) => {
            for (key, slotted) in keys {
                members(&mut out, &format!("members of {}", field(key)), slotted);
            }
        }
    }
    for hold in &it.holds {
        accept(&mut out, &config.name, hold);
    }
    let title = format!("keys that `{}` would remove, with their files", rosterd(&["accept", &config.name]));
    list(&mut out, &title, it.kept_keys.iter().map(|key| field(key)));
    if let Some(filter) = &config.filter {
        let filter = field(&filter.to_string());
        let filtered = it.filtered.iter().map(|(path, error)| match error {
            None => field(path.as_str()),
            Some(error) => format!("{}: `where` failed: {}", field(path.as_str()), field(error)),
        });
        list_of(&mut out, "excluded by `where`", &format!(" {filter}"), filtered);
    }
    let duplicates = it.duplicates.iter();
    let duplicates = duplicates.map(|(path, first)| format!("{}: same as {}", field(path.as_str()), field(first)));
    list(&mut out, "duplicates of a host and port", duplicates);
    let quarantined = it.quarantined.iter();
    let quarantined = quarantined.map(|(path, why)| format!("{}: {}", field(path.as_str()), field(&why.to_string())));
    list(&mut out, "quarantined", quarantined);
    let data_errors = it.data_errors.iter();
    let data_errors = data_errors.map(|(path, why)| format!("{}: {}", field(path.as_str()), field(&why.to_string())));
    list(&mut out, "used without their data", data_errors);
    for (name, template) in &report.templates {
        let isolated = template.isolated.iter().filter(|it| it.member.roster == config.name);
        let isolated = isolated
            .map(|it| format!("{}: {}", field(&member_name(&it.member)), field(&one_line(&it.failure.of_member()))));
        list(&mut out, &format!("left out of template {}", field(name)), isolated);
    }
    let others = it.not_members.iter().map(|(path, why)| format!("{}: {why}", field(path.as_str())));
    list(&mut out, "nodes that are not members", others);
    let users = report.templates.iter().filter(|(_, template)| template.depends_on(&config.name));
    let users: Vec<&str> = users.map(|(name, _)| &**name).collect();
    if !users.is_empty() {
        let _ = writeln!(out, "  used by: {}", users.join(", "));
    }
    out
}

/// Writes the payload format, for each key if the keys differ.
fn payload(out: &mut String, it: &RosterReport) {
    let detected = if it.config.payload.format.is_none() { " (detected)" } else { "" };
    if let [format] = it.formats.keys().collect::<Vec<_>>()[..] {
        let _ = writeln!(out, "  payload {format}{detected}");
        return;
    }
    for (format, paths) in &it.formats {
        list(out, &format!("payload {format}{detected}"), paths.iter().map(|path| field(path.as_str())));
    }
}

/// What members are ordered by, if not by name alone.
fn order_name(order: Order) -> Option<&'static str> {
    match order {
        Order::Name => None,
        Order::Id => Some("id"),
        Order::Weight => Some("weight"),
    }
}

fn members(out: &mut String, title: &str, slotted: &[SlottedMember]) {
    let names = slotted.iter().map(|it| {
        let (member, fields) = (&it.member, it.member.fields());
        let mut text = field(member.name());
        let address = member.address().filter(|address| address != member.name());
        text.extend(address.map(|address| format!(" ({})", field(&address))));
        text.extend(fields.weight.map(|weight| format!(", weight {weight}")));
        text.extend(fields.status.as_deref().map(|status| format!(", status {}", field(status))));
        text
    });
    list(out, title, names);
}

/// The name of a member within its roster.
fn member_name(it: &MemberRef) -> String {
    it.key.as_ref().map_or_else(|| it.member.to_string(), |key| format!("{} of {key}", it.member))
}

/// Writes what `accept` would change.
fn accept(out: &mut String, roster: &str, it: &HoldReport) {
    let Some(change) = &it.change else {
        return;
    };
    let remain = plural(change.members, "member");
    let _ = writeln!(out, "  with `{}`, {remain} of {} would remain", rosterd(&["accept", roster]), field(&it.path));
    list(out, "would be removed", change.leave.iter().map(|name| field(name)));
    list(out, "would be added", change.join.iter().map(|name| field(name)));
}

fn key(report: &Report, it: &KeyReport, context: &Context) -> String {
    let config = &it.config;
    let what = jones(it, context).unwrap_or_else(|| config.subject.to_string());
    let (kind, name) = words::key(&config.name);
    let mut out = format!("{kind} {name}: {} in registry {}\n", line(&what), config.registry);
    let conditions = key_conditions(report, it, &context.clock(report));
    if conditions.is_empty() {
        out.push_str("  fresh\n");
    }
    lines(&mut out, &conditions);
    refusals(&mut out, context);
    out
}

/// What a host reads of a service of Jones.
fn jones(it: &KeyReport, context: &Context) -> Option<String> {
    let Subject::Mapped { service, host } = &it.config.subject else { return None };
    let mut out = format!("{}, host {host}", service.name());
    if let Some(mapping) = &it.mapping {
        let path = &mapping.path;
        let found = Service::parse(service.name()).ok().and_then(|it| it.destination(path.as_str()).ok());
        let _ = write!(out, " → {}", found.map_or_else(|| path.to_string(), |found| found.kind.to_string()));
        if !mapping.is_listed {
            out.push_str(" (nodemaps does not name the host)");
        }
    }
    if let Some(origin) = &context.origin {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(origin.mtime_ms).unwrap_or_default());
        let ago = rough(context.wall.duration_since(at).unwrap_or_default());
        let _ = match &origin.revision {
            Some((revision, author)) => write!(out, " (revision {revision}, by {author}, {ago} ago)"),
            None => write!(out, " (changed {ago} ago, outside of the history)"),
        };
    }
    if let Some(entries) = it.entries {
        let _ = write!(out, ", {}", plural(entries, "key"));
    }
    Some(out)
}

/// Writes that an edited configuration is not in use.
fn refusals(out: &mut String, context: &Context) {
    let all: Vec<Condition> = context.refused.iter().map(|it| refused(it, context)).collect();
    lines(out, &all);
}

/// Writes a title with the number of items, then the items; nothing if there are none.
fn list(out: &mut String, title: &str, items: impl Iterator<Item = String>) {
    list_of(out, title, "", items);
}

/// The same, with a note after the number.
fn list_of(out: &mut String, title: &str, note: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return;
    }
    let _ = writeln!(out, "  {title} ({}):{note}", items.len());
    for item in items.iter().take(NAMED) {
        let _ = writeln!(out, "    {item}");
    }
    if items.len() > NAMED {
        let _ = writeln!(out, "    … and {} more", items.len() - NAMED);
    }
}
