//! Rosters with their members and who came and went, and keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Page;
use super::item::{Group, Item, commands, conditions, item_section, link, list, worst};
use crate::decide::report::{Freshness, HoldReport, KeyReport, RosterReport, RosterValue, SlottedMember, plural};
use crate::http_server::html::Html;
use crate::report::commands::commands as commands_for;
use crate::report::conditions::{Health, key_conditions, roster_conditions};
use crate::report::health::Subject;
use crate::report::words::field;
use crate::text::command::rosterd;
use crate::text::one_line;
use crate::text::time::rough;

/// The most members of one path that are listed.
const MAX_MEMBERS: usize = 100;

/// The most keys of a roster whose members are listed.
const MAX_KEYS: usize = 20;

/// The most nodes that are listed of those that are left out for one reason.
const MAX_NODES: usize = 10;

impl Page<'_> {
    pub(super) fn rosters(&self, html: &mut Html) {
        let mut groups =
            [("rosters with problems", vec![]), ("stale rosters", vec![]), ("rosters without problems", vec![])];
        for (name, it) in &self.report.rosters {
            let health = worst(&roster_conditions(self.report, it, &self.clock));
            let state = roster_state(it);
            let group = match health {
                Health::Ok => 2,
                _ if it.held || state != "stale" => 0,
                _ => 1,
            };
            let mut facts = vec![members_in_use(it)];
            facts.extend((!it.reached || it.held).then(|| freshness(it.freshness, &self.clock)));
            facts.push(it.config.subject.to_string());
            let body = Box::new(|html: &mut Html| self.roster(html, name, it));
            groups[group].1.push(Item { kind: "roster", name, health, state: state.to_owned(), facts, body });
        }
        let groups = groups.map(|(title, items)| Group { title, items });
        item_section(html, "rosters", "Rosters", &groups);
    }

    fn roster(&self, html: &mut Html, name: &Arc<str>, it: &RosterReport) {
        let all = roster_conditions(self.report, it, &self.clock);
        conditions(html, &all);
        if worst(&all) > Health::Ok {
            commands(html, &commands_for(&Subject::Roster(Arc::clone(name)), self.report, self.context));
        }
        self.timeline(html, name, it);
        let explain = rosterd(&["explain", name]);
        it.holds.iter().for_each(|hold| withheld(html, name, hold, &explain));
        match &it.value {
            None => {}
            Some(RosterValue::List(slotted)) => members(html, "Members", slotted, it, &explain),
            Some(RosterValue::Map(keys)) => {
                for (key, slotted) in keys.iter().take(MAX_KEYS) {
                    members(html, &format!("Members of {}", field(key)), slotted, it, &explain);
                }
                let others = keys.keys().skip(MAX_KEYS).map(|key| field(key)).collect::<Vec<_>>();
                list(html, "More keys", MAX_MEMBERS, others.into_iter(), &explain);
            }
        }
        let nodes =
            it.quarantined.iter().map(|(path, why)| format!("{}: {}", field(path.as_str()), field(&why.to_string())));
        list(html, "Quarantined", MAX_NODES, nodes, &explain);
        let nodes =
            it.data_errors.iter().map(|(path, why)| format!("{}: {}", field(path.as_str()), field(&why.to_string())));
        list(html, "Used without their data", MAX_NODES, nodes, &explain);
        let nodes = it.filtered.iter().map(|(path, error)| {
            let error = error.as_ref().map(|error| format!(": `where` failed: {}", field(error)));
            field(path.as_str()) + &error.unwrap_or_default()
        });
        list(html, "Excluded by where", MAX_NODES, nodes, &explain);
        let nodes =
            it.duplicates.iter().map(|(path, first)| format!("{}: same as {}", field(path.as_str()), field(first)));
        list(html, "Duplicates of a host and port", MAX_NODES, nodes, &explain);
        for (template, others) in &self.report.templates {
            let left_out: Vec<String> = others
                .isolated
                .iter()
                .filter(|out| out.member.roster == *name)
                .map(|out| {
                    format!("{}: {}", field(&out.member.to_string()), field(&one_line(&out.failure.of_member())))
                })
                .collect();
            list(html, &format!("Left out of template {}", field(template)), MAX_NODES, left_out.into_iter(), &explain);
        }
        let nodes = it.not_members.iter().map(|(path, why)| format!("{}: {why}", field(path.as_str())));
        list(html, "Not members", MAX_NODES, nodes, &explain);
        self.used_by(html, name);
    }

    /// The templates that show this roster or key.
    fn used_by(&self, html: &mut Html, name: &str) {
        let templates = self.report.templates.iter();
        let users: Vec<_> = templates.filter(|(_, it)| it.depends_on(name) || it.keys.contains(name)).collect();
        if users.is_empty() {
            return;
        }
        html.element("p", &[], |html| {
            html.text("Used by ");
            for (number, (user, _)) in users.iter().take(MAX_NODES).enumerate() {
                html.text(if number > 0 { ", " } else { "" });
                link(html, "template", user, &format!("template {}", field(user)));
            }
            if users.len() > MAX_NODES {
                html.text(&format!(" and {} more", users.len() - MAX_NODES));
            }
        });
    }

    pub(super) fn keys(&self, html: &mut Html) {
        let items = self.report.keys.iter().map(|(name, it)| {
            let health = worst(&key_conditions(self.report, it, &self.clock));
            let state = key_state(it).to_owned();
            let facts = vec![freshness(it.freshness, &self.clock), it.config.subject.to_string()];
            let body = Box::new(|html: &mut Html| {
                let all = key_conditions(self.report, it, &self.clock);
                conditions(html, &all);
                if worst(&all) > Health::Ok {
                    commands(html, &commands_for(&Subject::Key(Arc::clone(name)), self.report, self.context));
                }
                self.used_by(html, name);
            });
            Item { kind: "key", name, health, state, facts, body }
        });
        item_section(html, "keys", "Keys", &[Group { title: "keys", items: items.collect() }]);
    }
}

fn roster_state(it: &RosterReport) -> &'static str {
    match &it.value {
        _ if it.held => "held",
        None => "not read yet",
        Some(_) if !it.reached => "stale",
        Some(_) => "fresh",
    }
}

fn key_state(it: &KeyReport) -> &'static str {
    if let Some(lock) = &it.lock {
        return if lock.is_held { "held by this agent" } else { "not held by this agent" };
    }
    match (&it.hold, it.known) {
        (Some(_), _) => "held",
        (None, true) => "loaded",
        (None, false) => "not read yet",
    }
}

fn members_in_use(it: &RosterReport) -> String {
    let count = it.value.as_ref().map(RosterValue::count);
    match (count, it.in_registry.filter(|_| it.held)) {
        (None, _) => "members unknown".to_owned(),
        (Some(count), None) => plural(count, "member"),
        (Some(count), Some(registry)) => format!("{} in use, {registry} in the registry", plural(count, "member")),
    }
}

fn freshness(it: Freshness, clock: &crate::report::context::Clock<'_>) -> String {
    match it.age(clock.now) {
        _ if it.is_live() => "fresh".to_owned(),
        Some(age) => format!("read {} ago", rough(age)),
        None => "never read".to_owned(),
    }
}

/// The members of one path. Those that a hold keeps, and the registry no longer has, are marked.
fn members(html: &mut Html, title: &str, slotted: &[SlottedMember], roster: &RosterReport, more: &str) {
    let changes = roster.holds.iter().filter_map(|hold| hold.change.as_ref());
    let kept: BTreeSet<&str> = changes.flat_map(|change| change.leave.iter().map(String::as_str)).collect();
    let items = slotted.iter().map(|it| {
        let member = &it.member;
        let address = member.address().filter(|address| address != member.name());
        let mut text = field(member.name());
        text.extend(address.map(|address| format!(" ({})", field(&address))));
        text.extend(member.fields().status.as_deref().map(|status| format!(", {}", field(status))));
        if kept.contains(member.name()) {
            text.push_str(", kept by the hold");
        }
        text
    });
    list(html, title, MAX_MEMBERS, items, more);
}

/// What `accept` would change.
fn withheld(html: &mut Html, roster: &str, it: &HoldReport, more: &str) {
    let Some(change) = &it.change else { return };
    html.element("p", &[], |html| {
        html.text("With ");
        html.leaf("code", &[], &rosterd(&["accept", roster]));
        html.text(&format!(", {} of {} would remain.", plural(change.members, "member"), field(&it.path)));
    });
    list(html, "Would be removed", MAX_MEMBERS, change.leave.iter().map(|name| field(name)), more);
    list(html, "Would be added", MAX_MEMBERS, change.join.iter().map(|name| field(name)), more);
}
