//! `explain NAME`: all that there is to say of one thing, on lines for a terminal.

use std::fmt::Write as _;

use super::why::{Why, of_key, of_roster, of_template};
use super::words::field;
use super::{About, Clock};
use crate::config::{Order, RosterConfig};
use crate::decide::key::Key;
use crate::decide::roster::{Held, Roster};
use crate::decide::template::Template;
use crate::decide::{Engine, RosterValue, Seated};
use crate::log::plain;
use crate::payload::{Payload, masked};

/// How many members and nodes are named, of each kind: more is for `ls`.
const NAMED: usize = 500;

/// The most bytes of one line of a command's output.
const MAX_LINE: usize = 1024;

/// Explains a template, else a roster, else a key of this name; `None` where nothing has it.
pub fn explain(engine: &Engine, name: &str, about: &About) -> Option<String> {
    if let Some(it) = engine.templates().get(name) {
        return Some(template(engine, it, about));
    }
    if let Some(it) = engine.rosters().get(name) {
        return Some(roster(engine, it, about));
    }
    engine.keys().get(name).map(|it| key(engine, it, &about.clock))
}

/// The names that can be explained.
pub fn names(engine: &Engine) -> Vec<&str> {
    let all = engine.templates().keys().chain(engine.rosters().keys()).chain(engine.keys().keys());
    let mut all: Vec<&str> = all.map(|name| &**name).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Reasons, a line each; what a command printed follows on indented ones.
fn lines(out: &mut String, why: &[Why]) {
    for why in why {
        for (number, line) in why.text.lines().enumerate() {
            let line = masked(line);
            let line = crate::log::cut(&line, MAX_LINE);
            let _ = writeln!(out, "{}{}", if number == 0 { "  " } else { "    " }, plain(&line));
        }
    }
}

fn template(engine: &Engine, template: &Template, about: &About) -> String {
    let config = &template.plan().config;
    let mut out = format!("template {}: {}\n", config.name, plain(&config.dest.display().to_string()));
    let why = of_template(engine, template, about);
    lines(&mut out, &why);
    if let Some(at) = template.rendered().filter(|_| why.iter().any(Why::keeps)) {
        let _ = writeln!(out, "  last in step at {}", about.clock.time(at));
    }
    let names = engine.rosters().keys().filter(|name| template.leans_on(name, true));
    let names = names.chain(engine.keys().keys().filter(|name| template.needs(name, false)));
    let names: Vec<&str> = names.map(|name| &**name).collect();
    if !names.is_empty() {
        let _ = writeln!(out, "  made of: {}", names.join(", "));
    }
    let files = engine.files(&config.name).map(|(key, file)| {
        let going = if file.is_going() { " (its key is gone)" } else { "" };
        format!("{}: {}{going}", field(key), plain(&file.plan().config.dest.display().to_string()))
    });
    list(&mut out, "files", files);
    let without = engine.without_file(&config.name);
    list(&mut out, "keys without a file", without.map(|(key, why)| format!("{}: {}", field(key), field(why))));
    out
}

fn roster(engine: &Engine, roster: &Roster, about: &About) -> String {
    let config = roster.config();
    let clock = &about.clock;
    let mut out = format!("roster {}: {} on {}\n", config.name, config.subject, config.registry);
    let why = of_roster(engine, roster, clock);
    if !why.iter().any(Why::keeps) {
        out.push_str("  up to date\n");
    }
    lines(&mut out, &why);
    read_as(&mut out, roster);
    if let Some(order) = by(config.order) {
        let _ = writeln!(out, "  listed by {order}, then by name");
    }
    match roster.value() {
        None => {}
        Some(RosterValue::List(seats)) => members(&mut out, "members", seats),
        Some(RosterValue::Map(keys)) => {
            for (key, seats) in keys {
                members(&mut out, &format!("members of {}", field(key)), seats);
            }
        }
    }
    for held in roster.held() {
        withheld(&mut out, config, engine.host(), &held);
    }
    let keys = roster.held_keys();
    if !keys.is_empty() {
        let _ = writeln!(out, "  `rosterd accept {}` would let these keys go, and their files", config.name);
        list(&mut out, "gone keys", keys.iter().map(|key| field(key)));
    }
    if let Some(filter) = &config.filter {
        let title = format!("left out by where = {}", field(&filter.to_string()));
        list(
            &mut out,
            &title,
            roster.apart().map(|(path, why)| match why {
                None => field(path.as_str()),
                Some(why) => format!("{}: it cannot be asked: {}", field(path.as_str()), field(why)),
            }),
        );
    }
    list(
        &mut out,
        "same host and port as another",
        roster.doubles().map(|(path, first)| format!("{}: {} stands for it", field(path.as_str()), field(&first))),
    );
    list(
        &mut out,
        "left out as unfit",
        roster.unfit().map(|(path, why)| format!("{}: {}", field(path.as_str()), field(&why.to_string()))),
    );
    let users = engine.templates().values().filter(|template| template.leans_on(&config.name, true));
    let users: Vec<&str> = users.map(|template| &*template.plan().config.name).collect();
    if !users.is_empty() {
        let _ = writeln!(out, "  used by: {}", users.join(", "));
    }
    out
}

/// What the nodes are read by, for each key where the keys differ in that.
fn read_as(out: &mut String, roster: &Roster) {
    let formats = roster.formats();
    let by_look = if roster.config().payload == Payload::Auto { ", by the look of the nodes" } else { "" };
    if let [format] = formats.keys().collect::<Vec<_>>()[..] {
        let _ = writeln!(out, "  read as {format}{by_look}");
        return;
    }
    for (format, paths) in &formats {
        list(out, &format!("read as {format}{by_look}"), paths.iter().map(|path| field(path.as_str())));
    }
}

/// What members are listed by, where that is not their names alone.
fn by(order: Order) -> Option<&'static str> {
    match order {
        Order::Name => None,
        Order::Id => Some("id"),
        Order::Weight => Some("weight"),
    }
}

fn members(out: &mut String, title: &str, seats: &[Seated]) {
    let names = seats.iter().map(|seated| match seated.member.address() {
        Some(address) if address != seated.member.name() => {
            format!("{} ({})", field(seated.member.name()), field(&address))
        }
        _ => field(seated.member.name()),
    });
    list(out, title, names);
}

/// What would change if what a hold keeps back were accepted.
fn withheld(out: &mut String, config: &RosterConfig, host: &str, held: &Held<'_>) {
    let Some(withheld) = &held.withheld else {
        return;
    };
    let change = withheld.outcome(held.good.map(|seats| &seats[..]).unwrap_or_default(), config, host);
    let _ = writeln!(
        out,
        "  `rosterd accept {}` would leave {} members of {}",
        config.name,
        change.members,
        field(held.path.as_str())
    );
    list(out, "leave", change.leave.iter().map(|name| field(name)));
    list(out, "join", change.join.iter().map(|name| field(name)));
}

fn key(engine: &Engine, key: &Key, clock: &Clock) -> String {
    let config = key.config();
    let mut out = format!("key {}: {} on {}\n", config.name, config.path, config.registry);
    let why = of_key(engine, key, clock);
    if why.is_empty() {
        out.push_str("  up to date\n");
    }
    lines(&mut out, &why);
    out
}

/// A title with its number of items, and the items below it; nothing without any.
fn list(out: &mut String, title: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return;
    }
    let _ = writeln!(out, "  {title}: {}", items.len());
    for item in items.iter().take(NAMED) {
        let _ = writeln!(out, "    {item}");
    }
    if items.len() > NAMED {
        let _ = writeln!(out, "    … and {} more", items.len() - NAMED);
    }
}
