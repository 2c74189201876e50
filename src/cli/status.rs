//! `status`: prints the state of the agent as text or JSON.

use std::fmt::Write as _;

use clap::Args;

use super::Global;
use super::agent_commands::{At, print, send};
use crate::control::{Answer, RequestBody};
use crate::decide::report::plural;
use crate::error::{Exit, Fatal};
use crate::log::json_safe;
use crate::report::status::{HoldStatus, KeyStatus, RosterStatus, Status, TemplateStatus};
use crate::report::words::field;

/// The command line of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print the state as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

/// Runs `status`.
pub async fn status(global: &Global, args: StatusArgs) -> Result<Exit, Fatal> {
    match send(global, &args.at, RequestBody::Status).await? {
        Answer::Status(status) => {
            print(&if args.json { json(&status)? } else { text(&status) })?;
            Ok(Exit::Done)
        }
        Answer::Message(message) => Err(Fatal::new(message.exit, message.text)),
        _ => {
            Err(Fatal::new(Exit::NoAgent, "the agent sent an unexpected answer: it may be another version; restart it"))
        }
    }
}

fn json(status: &Status) -> Result<String, Fatal> {
    let text = serde_json::to_string_pretty(status)
        .map_err(|why| Fatal::new(Exit::Failed, format!("write the status as JSON: {why}")))?;
    Ok(text.lines().map(|line| json_safe(line) + "\n").collect())
}

/// One line for each object, followed by its problems.
fn text(status: &Status) -> String {
    let mut out = format!("rosterd {}, process {}, running since {}\n", status.version, status.pid, status.started);
    if let Some(pause) = &status.paused {
        let reason = pause.reason.as_deref().map(|reason| format!(": {}", field(reason))).unwrap_or_default();
        let _ = writeln!(
            out,
            "PAUSED since {} until {} by uid {}{reason}; `rosterd resume` ends the pause",
            pause.since, pause.until, pause.uid
        );
    }
    if let Some(it) = &status.program {
        let _ = writeln!(out, "program {}: {}", it.command, field(&it.text));
    }
    for it in &status.registries {
        let state = match &it.why {
            None => "connected".to_owned(),
            Some(why) => format!("UNREACHABLE: {}", field(why)),
        };
        let _ = writeln!(out, "registry {} {}: {state}", field(&it.name), field(&it.url));
    }
    status.rosters.iter().for_each(|it| roster(&mut out, it));
    status.keys.iter().for_each(|it| key(&mut out, it));
    status.templates.iter().for_each(|it| template(&mut out, it));
    out
}

fn roster(out: &mut String, it: &RosterStatus) {
    let _ = write!(out, "roster {} {}: {}", it.name, field(&it.path), plural(it.members, "member"));
    if let Some(count) = it.in_registry.filter(|count| it.hold.is_some() && *count != it.members) {
        let _ = write!(out, " ({count} in the registry)");
    }
    let _ = match (it.fresh, it.view_age_s) {
        (true, _) => write!(out, ", fresh"),
        (false, Some(age)) => write!(out, ", STALE (read {age} s ago)"),
        (false, None) => write!(out, ", NOT READ YET"),
    };
    let _ = write!(out, ", payload {}", field(&it.payload));
    for (count, what) in
        [(it.quarantined, "quarantined"), (it.filtered, "excluded by where"), (it.duplicates, "duplicates")]
    {
        if count > 0 {
            let _ = write!(out, ", {count} {what}");
        }
    }
    out.push_str(if it.hold.is_some() { ", HELD\n" } else { "\n" });
    if let Some(first) = &it.hold {
        hold(out, first);
        if first.acceptable {
            let name = &it.name;
            let _ = writeln!(out, "  review: rosterd explain {name}; accept: rosterd accept {name}");
        }
        let more = it.holds.len() - 1;
        if more > 0 {
            let _ = writeln!(out, "  and {more} more: rosterd explain {}", it.name);
        }
    }
}

fn hold(out: &mut String, it: &HoldStatus) {
    let _ = writeln!(out, "  held since {}: {}; {}", it.since, field(&it.reason), it.release);
}

fn key(out: &mut String, it: &KeyStatus) {
    let state = match (&it.hold, it.known) {
        (Some(_), _) => "HELD",
        (None, true) => "loaded",
        (None, false) => "NOT READ YET",
    };
    let _ = writeln!(out, "key {} {}: {state}", it.name, field(&it.path));
    if let Some(it) = &it.hold {
        hold(out, it);
    }
}

fn template(out: &mut String, it: &TemplateStatus) {
    let state = match (&it.waiting_for, &it.rendered_at) {
        (None, Some(at)) => format!("up to date, rendered at {at}"),
        (None, None) => "up to date".to_owned(),
        (Some(_), Some(at)) => format!("NOT UP TO DATE, last up to date at {at}"),
        (Some(_), None) => "NOT UP TO DATE, not rendered yet".to_owned(),
    };
    let _ = writeln!(out, "template {} {}: {state}", field(&it.name), field(&it.dest));
    if let Some(why) = it.waiting_for.as_deref().and_then(|why| why.lines().next()) {
        let _ = writeln!(out, "  {}", field(why));
        let _ = writeln!(out, "  details: rosterd explain {}", field(&it.name));
    }
}
