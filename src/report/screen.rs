//! `status` as text: one line for each object, followed by its problems.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::conditions::Health;
use super::status::{HoldStatus, KeyStatus, RosterStatus, Status, TemplateState, TemplateStatus};
use super::words::{self, field, line};
use crate::decide::report::plural;
use crate::text::command::rosterd;
use crate::text::time::{Zone, past, rough, to_come};

#[cfg(test)]
mod tests;

/// How many lines of a command's output are shown. `explain` shows more.
const OUTPUT_LINES: usize = 6;

/// How many warnings of a template are shown besides the reason that it is not up to date.
const WARNINGS: usize = 3;

/// Who reads the screen: now, and in this zone.
#[derive(Debug)]
pub struct Screen {
    pub now: SystemTime,
    pub zone: Zone,
}

impl Screen {
    /// The text of a status.
    pub fn text(&self, status: &Status) -> String {
        let problems = match status.health.problems.len() {
            0 => String::new(),
            count => format!(", {}", plural(count, "problem")),
        };
        let health = word(status.health.state);
        let (version, pid, started) = (&status.version, status.pid, self.past(&status.started));
        let mut out = format!("rosterd {version}, process {pid}, running since {started}: {health}{problems}\n");
        for it in &status.refused {
            let _ = writeln!(out, "WARNING: {}", line(&it.text));
        }
        if let Some(pause) = &status.paused {
            let reason = pause.reason.as_deref().map(|reason| format!(": {}", field(reason))).unwrap_or_default();
            let (since, until) = (self.past(&pause.since), self.to_come(&pause.until));
            let uid = pause.uid;
            let _ = writeln!(
                out,
                "PAUSED since {since} until {until} by uid {uid}{reason}; `{}` ends the pause",
                rosterd(&["resume"])
            );
        }
        if let Some(it) = &status.program {
            let _ = writeln!(out, "program {}: {}", it.command, line(&it.text));
        }
        for it in &status.registries {
            let state = match &it.why {
                None => "connected".to_owned(),
                Some(why) => format!("UNREACHABLE: {}", line(why)),
            };
            let _ = writeln!(out, "registry {} {}: {state}", field(&it.name), field(&it.url));
        }
        status.rosters.iter().for_each(|it| self.roster(&mut out, it));
        status.keys.iter().for_each(|it| self.key(&mut out, it));
        status.templates.iter().for_each(|it| self.template(&mut out, it));
        for it in &status.services {
            let _ = write!(out, "service {} {}: ", it.name, field(&it.node));
            reason(&mut out, "", &it.text);
        }
        out
    }

    fn past(&self, time: &str) -> String {
        humantime::parse_rfc3339(time).map_or_else(|_| field(time), |time| past(time, self.now, &self.zone))
    }

    fn to_come(&self, time: &str) -> String {
        humantime::parse_rfc3339(time).map_or_else(|_| field(time), |time| to_come(time, self.now, &self.zone))
    }

    fn roster(&self, out: &mut String, it: &RosterStatus) {
        let _ = write!(out, "roster {} {}: ", it.name, field(&it.path));
        let _ = match (&it.hold, it.members) {
            (None, 0) if !it.fresh && it.view_age_s.is_none() => write!(out, "members unknown"),
            (None, members) => write!(out, "{}", plural(members, "member")),
            (Some(_), 0) => write!(out, "HELD, none in use"),
            (Some(_), members) => write!(out, "HELD, {members} in use (last known-good)"),
        };
        if let Some(count) = it.in_registry.filter(|_| it.hold.is_some()) {
            let _ = write!(out, ", {count} in the registry");
        }
        let fresh = freshness(it.fresh, it.view_age_s);
        let _ = write!(out, ", {fresh}, payload {}", field(&it.payload));
        for (count, what) in [
            (it.quarantined, "quarantined"),
            (it.data_errors, "used without data"),
            (it.left_out, "left out of a file"),
            (it.filtered, "excluded by `where`"),
            (it.duplicates, "duplicates"),
        ] {
            if count > 0 {
                let _ = write!(out, ", {count} {what}");
            }
        }
        out.push('\n');
        if let Some(first) = &it.hold {
            self.hold(out, first);
            if first.acceptable {
                let name = &it.name;
                let _ = writeln!(
                    out,
                    "  review: {}; if the loss is real: {}",
                    rosterd(&["explain", name]),
                    rosterd(&["accept", name])
                );
            }
            let more = it.holds.len() - 1;
            if more > 0 {
                let _ = writeln!(out, "  and {more} more: {}", rosterd(&["explain", &it.name]));
            }
        }
    }

    fn hold(&self, out: &mut String, it: &HoldStatus) {
        let _ = writeln!(out, "  held since {}: {}; {}", self.past(&it.since), line(&it.reason), line(&it.release));
    }

    fn key(&self, out: &mut String, it: &KeyStatus) {
        let fresh = freshness(it.fresh, it.view_age_s);
        let (kind, name) = words::key(&it.name);
        let state = match (&it.hold, it.known) {
            (None, true) if let Some(lock) = &it.lock => format!("{}, {fresh}", line(&lock.text)),
            (None, false) if kind == "lock" && it.fresh => "waiting for its place in the line".to_owned(),
            (Some(_), _) => format!("HELD, {fresh}"),
            (None, true) => format!("loaded, {fresh}"),
            (None, false) => "NOT READ YET".to_owned(),
        };
        let _ = writeln!(out, "{kind} {name} {}: {state}", field(&it.path));
        if let Some(it) = &it.hold {
            self.hold(out, it);
        }
    }

    fn template(&self, out: &mut String, it: &TemplateStatus) {
        let rendered = it.rendered_at.as_deref().map(|at| self.past(at));
        let state = match (it.state, rendered) {
            (TemplateState::UpToDate, Some(at)) => format!("up to date, rendered at {at}"),
            // A template with `each`, whose files are shown below it.
            (TemplateState::UpToDate, None) => "one file for each key".to_owned(),
            (TemplateState::Updating, Some(at)) => format!("updating, last up to date at {at}"),
            (TemplateState::Updating, None) => "updating, not rendered yet".to_owned(),
            (TemplateState::NotUpToDate, Some(at)) => format!("NOT UP TO DATE, last up to date at {at}"),
            (TemplateState::NotUpToDate, None) => "NOT UP TO DATE, not rendered yet".to_owned(),
        };
        let _ = writeln!(out, "template {} {}: {state}", field(&it.name), field(&it.dest));
        if let Some(reload) = it.reload.as_ref().filter(|reload| reload.failures == 0) {
            let _ = writeln!(out, "  {}", line(&reload.text));
        }
        it.waiting_for.iter().for_each(|why| reason(out, "  ", why));
        it.warnings.iter().take(WARNINGS).for_each(|why| reason(out, "  ", why));
        if it.warnings.len() > WARNINGS {
            let _ = writeln!(out, "  and {} more", it.warnings.len() - WARNINGS);
        }
        if it.waiting_for.is_some() || !it.warnings.is_empty() {
            let _ = writeln!(out, "  details: {}", rosterd(&["explain", &field(&it.name)]));
        }
    }
}

/// How recent the view of a path is.
fn freshness(fresh: bool, age_s: Option<u64>) -> String {
    match (fresh, age_s) {
        (true, _) => "fresh".to_owned(),
        (false, Some(age)) => format!("STALE (read {} ago)", rough(Duration::from_secs(age))),
        (false, None) => "NOT READ YET".to_owned(),
    }
}

/// Writes a reason, with the last lines of a command's output.
fn reason(out: &mut String, indent: &str, why: &str) {
    let mut lines = why.lines();
    let _ = writeln!(out, "{indent}{}", line(lines.next().unwrap_or_default()));
    let output: Vec<&str> = lines.collect();
    let left = output.len().saturating_sub(OUTPUT_LINES);
    if left > 0 {
        out.push_str("    …\n");
    }
    for it in &output[left..] {
        let _ = writeln!(out, "    {}", line(it.trim_start()));
    }
}

/// The line that a monitoring plugin prints.
pub fn plugin_line(status: &Status) -> String {
    // After a `|` come the performance data of a plugin.
    format!("ROSTERD {}\n", summary(status).replace('|', "¦"))
}

/// The health on one line, with the most serious problem.
pub fn summary(status: &Status) -> String {
    let text = match &status.health.problems[..] {
        [] => {
            let members = status.rosters.iter().map(|it| it.members).sum();
            let (templates, rosters) =
                (plural(status.templates.len(), "template"), plural(status.rosters.len(), "roster"));
            format!("{templates}, {rosters}, {}", plural(members, "member"))
        }
        [problem] => problem.clone(),
        [first, rest @ ..] => format!("{first}; {}: run {}", plural(rest.len(), "more problem"), rosterd(&["status"])),
    };
    format!("{}: {text}", word(status.health.state))
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Ok => "OK",
        Health::Warning => "WARNING",
        Health::Critical => "CRITICAL",
    }
}
