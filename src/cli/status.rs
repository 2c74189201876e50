//! `status`: how it is with everything, for a person or as JSON.

use std::fmt::Write as _;

use clap::Args;

use super::Global;
use super::agent::{At, ask, print};
use crate::error::{Exit, Fatal};
use crate::log::json_safe;
use crate::serve::{Answer, Ask};
use crate::status::{HoldStatus, KeyStatus, RosterStatus, Status, TemplateStatus, field};

/// The command line of `status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

/// Asks the agent, and prints what it says.
pub(super) async fn status(global: &Global, args: StatusArgs) -> Result<Exit, Fatal> {
    match ask(global, &args.at, Ask::Status).await? {
        Answer::Status(status) => {
            print(&if args.json { json(&status)? } else { text(&status) })?;
            Ok(Exit::Done)
        }
        Answer::Told(told) => Err(Fatal::new(told.exit, told.text)),
        _ => Err(Fatal::new(Exit::NoAgent, "the agent answered something else than was asked: restart it")),
    }
}

fn json(status: &Status) -> Result<String, Fatal> {
    let text = serde_json::to_string_pretty(status)
        .map_err(|why| Fatal::new(Exit::Failed, format!("write the status as JSON: {why}")))?;
    Ok(text.lines().map(|line| json_safe(line) + "\n").collect())
}

/// A line for each thing, and below it what is not as it should be.
fn text(status: &Status) -> String {
    let mut out = format!("rosterd {}, process {}, since {}\n", status.version, status.pid, status.started);
    if let Some(pause) = &status.paused {
        let reason = pause.reason.as_deref().map(|reason| format!(": {}", field(reason))).unwrap_or_default();
        let _ = writeln!(
            out,
            "PAUSED since {} until {} by user {}{reason}; `rosterd resume` ends it",
            pause.since, pause.until, pause.uid
        );
    }
    if let Some(it) = &status.program {
        let _ = writeln!(out, "program {}: {}", it.command, field(&it.text));
    }
    for it in &status.registries {
        let state = match &it.why {
            None => "reached".to_owned(),
            Some(why) => format!("NOT REACHED: {}", field(why)),
        };
        let _ = writeln!(out, "registry {} {}: {state}", field(&it.name), field(&it.url));
    }
    status.rosters.iter().for_each(|it| roster(&mut out, it));
    status.keys.iter().for_each(|it| key(&mut out, it));
    status.templates.iter().for_each(|it| template(&mut out, it));
    out
}

fn roster(out: &mut String, it: &RosterStatus) {
    let age = match (it.fresh, it.view_age_s) {
        (true, _) => "fresh".to_owned(),
        (false, Some(age)) => format!("STALE, as it was {age} s ago"),
        (false, None) => "NOT READ YET".to_owned(),
    };
    let unfit = if it.quarantined == 0 { String::new() } else { format!(", {} left out as unfit", it.quarantined) };
    let doubles = if it.duplicates == 0 { String::new() } else { format!(", {} duplicates", it.duplicates) };
    let apart = if it.filtered == 0 { String::new() } else { format!(", {} left out by where", it.filtered) };
    let held = if it.hold.is_some() { ", HELD" } else { "" };
    let _ = writeln!(
        out,
        "roster {} {}: {} members, {age}, read as {}{unfit}{apart}{doubles}{held}",
        it.name,
        field(&it.path),
        it.members,
        field(&it.payload)
    );
    if let Some(first) = &it.hold {
        hold(out, first, &it.name);
        let more = it.holds.len() - 1;
        if more > 0 {
            let _ = writeln!(out, "  and {more} more: `rosterd explain {}`", it.name);
        }
    }
}

fn hold(out: &mut String, it: &HoldStatus, name: &str) {
    let _ = writeln!(out, "  since {}: {}; it {}", it.since, field(&it.reason), it.release);
    if it.acceptable {
        let _ = writeln!(
            out,
            "  `rosterd explain {name}` says who would come and go, `rosterd accept {name}` lets it through"
        );
    }
}

fn key(out: &mut String, it: &KeyStatus) {
    let state = match (&it.hold, it.known) {
        (Some(_), _) => "HELD",
        (None, true) => "known",
        (None, false) => "NOT READ YET",
    };
    let _ = writeln!(out, "key {} {}: {state}", it.name, field(&it.path));
    if let Some(it) = &it.hold {
        let _ = writeln!(out, "  since {}: {}; it {}", it.since, field(&it.reason), it.release);
    }
}

fn template(out: &mut String, it: &TemplateStatus) {
    let state = match (&it.waiting_for, &it.rendered_at) {
        (None, Some(at)) => format!("up to date: rendered at {at}"),
        (None, None) => "nothing to do yet".to_owned(),
        (Some(_), Some(at)) => format!("NOT UP TO DATE: rendered at {at}"),
        (Some(_), None) => "NOT UP TO DATE: not rendered yet".to_owned(),
    };
    let _ = writeln!(out, "template {} {}: {state}", field(&it.name), field(&it.dest));
    if let Some(why) = it.waiting_for.as_deref().and_then(|why| why.lines().next()) {
        let _ = writeln!(out, "  {}", field(why));
        let _ = writeln!(out, "  `rosterd explain {}` says all of it", field(&it.name));
    }
}
