//! Every family, with its series at the moment of a scrape.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::counters::{Counters, TemplateCounters};
use super::exposition::{Exposition, Family, Label, Read, flag, number, timestamp};
use super::files::{self, Files};
use super::process;
use super::tally::Tally;
use crate::config::KeyFormat;
use crate::decide::report::{Freshness, ProgramState, Report, RosterReport, RosterValue};
use crate::decide::{Moment, Severity};
use crate::report::context::Part;
use crate::report::snapshot::Snapshot;
use crate::report::status::Status;
use crate::report::words;
use crate::watch::session_counters::{SessionCounts, SessionState};

/// Everything that one answer shows.
#[derive(Debug)]
pub struct Scrape {
    snapshot: Snapshot,
    status: Status,
    counters: Counters,
    files: BTreeMap<Arc<str>, Files>,
    started: SystemTime,
}

/// What is counted for a template, if it has that.
type Counted = fn(&TemplateCounters) -> Option<&Tally>;

/// Describes a family of rosterd.
fn family(name: &str, help: &'static str) -> Family {
    Family::new(name, help)
}

impl Scrape {
    pub fn new(snapshot: Snapshot, counters: Counters, started: SystemTime) -> Self {
        let status = Status::new(&snapshot.report, &snapshot.context);
        let files = files::collect(&snapshot.report, &status, &counters);
        Self { snapshot, status, counters, files, started }
    }

    fn agent(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let version: [Label<'_>; 1] = [("version", env!("CARGO_PKG_VERSION"))];
        out.gauges(&family("build_info", "The version of the agent. The value is always 1."), [(version, 1.0)])?;
        let paused = family("paused", "Whether the replacement of files is paused.");
        out.gauges(&paused, [([], flag(self.status.paused.is_some()))])?;
        self.loads(out)?;
        let events = family("events", "Events of level warn or error, by event.");
        out.counters(
            &events,
            self.counters.events.iter().map(|(name, (severity, count))| {
                let level = if *severity == Severity::Error { "error" } else { "warn" };
                ([("event", *name), ("level", level)], *count)
            }),
        )?;
        let Some(program) = &self.snapshot.context.program else { return Ok(()) };
        let is_running = matches!(program.state, ProgramState::Running { .. });
        out.gauges(&family("program_running", "Whether the program of [exec] is running."), [([], flag(is_running))])?;
        out.counters(&family("program_starts", "How often the program of [exec] was started."), [([], program.starts)])
    }

    fn loads(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let refused = |part: &str| {
            let name = |part: Part| if part == Part::Configuration { "configuration" } else { "templates" };
            self.snapshot.context.refused.iter().any(|it| name(it.part) == part)
        };
        let loads = &self.counters.loads;
        out.gauges(
            &family(
                "config_last_load_successful",
                "Whether the last load was accepted: of the configuration at a start and on HUP, or of edited templates.",
            ),
            loads.iter().map(|it| ([("part", it.part)], flag(!refused(it.part)))),
        )?;
        let each = || loads.iter().flat_map(|it| it.counts.iter().map(|count| (it.part, count)));
        out.counters(
            &family("config_loads", "Loads of the configuration and of edited templates, by outcome."),
            each().map(|(part, (outcome, count, _))| ([("part", part), ("outcome", *outcome)], *count)),
        )?;
        out.gauges(
            &family("config_last_load_timestamp", "When a load last had this outcome, in seconds since 1970.")
                .seconds(),
            each().filter_map(|(part, (outcome, _, last))| {
                Some(([("part", part), ("outcome", *outcome)], timestamp((*last)?)))
            }),
        )
    }

    fn registries(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let registries = &self.snapshot.report.registries;
        out.gauges(
            &family("registry_connected", "Whether the registry answers. Short interruptions do not count."),
            registries.iter().map(|(name, it)| ([("registry", &**name)], flag(it.reached))),
        )?;
        let sessions = &self.snapshot.sessions;
        let states = [
            (SessionState::Connected, "connected"),
            (SessionState::Suspended, "suspended"),
            (SessionState::Lost, "lost"),
        ];
        out.gauges(
            &family("registry_session_state", "The state of the ZooKeeper session: 1 for the one it is in."),
            sessions.iter().flat_map(|(name, counts)| {
                states.map(|(state, word)| ([("registry", &**name), ("state", word)], flag(counts.state == state)))
            }),
        )?;
        let counters: [(_, _, Read<SessionCounts, u64>); 4] = [
            ("registry_reconnects", "Connections to ZooKeeper after the first one.", |it| it.reconnects),
            ("registry_session_expirations", "ZooKeeper sessions that have expired.", |it| it.expiries),
            ("registry_requests", "Requests to ZooKeeper, without pings.", |it| it.requests),
            ("registry_watch_events", "Events of watches that ZooKeeper sent.", |it| it.watch_events),
        ];
        for (name, help, count) in counters {
            let series = sessions.iter().map(|(name, counts)| ([("registry", &**name)], count(counts)));
            out.counters(&family(name, help), series)?;
        }
        Ok(())
    }

    fn rosters(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let Report { rosters, keys, now, .. } = &self.snapshot.report;
        let gauges: [(_, _, Read<RosterReport, Option<usize>>); 8] = [
            ("roster_members", "Members that templates see.", |it| {
                Some(it.value.as_ref().map_or(0, RosterValue::count))
            }),
            ("roster_registry_members", "Members in the registry.", |it| it.in_registry),
            ("roster_min_members", "The configured min.", |it| Some(it.config.bounds.min())),
            ("roster_quarantined_nodes", "Nodes that cannot be used.", |it| Some(it.quarantined.len())),
            ("roster_data_errors", "Members that are used without their data, which is not JSON.", |it| {
                Some(it.data_errors.len())
            }),
            ("roster_filtered_members", "Members that where excludes.", |it| Some(it.filtered.len())),
            ("roster_filter_errors", "Members for which where failed.", |it| {
                Some(it.filtered.iter().filter(|(_, error)| error.is_some()).count())
            }),
            ("roster_held", "Whether a hold keeps the last known-good members.", |it| Some(usize::from(it.held))),
        ];
        for (name, help, value) in gauges {
            let series = rosters.iter().filter_map(|(name, it)| Some(([("roster", &**name)], number(value(it)?))));
            out.gauges(&family(name, help), series)?;
        }
        let freshness = rosters.iter().map(|(name, it)| ("roster", &**name, it.freshness));
        views(out, *now, "roster", freshness)?;
        views(out, *now, "key", keys.iter().map(|(name, it)| ("key", &**name, it.freshness)))?;
        out.gauges(
            &family("key_held", "Whether a hold keeps the last known-good data."),
            keys.iter().map(|(name, it)| ([("key", &**name)], flag(it.hold.is_some()))),
        )?;
        let locks = keys.iter().filter(|(_, it)| it.config.format == KeyFormat::Lock);
        out.gauges(
            &family("lock_held", "Whether this agent holds the lock."),
            locks.map(|(name, it)| {
                ([("lock", words::key(name).1)], flag(it.lock.as_ref().is_some_and(|lock| lock.is_held)))
            }),
        )?;
        let counted = &self.counters.rosters;
        let changes = counted.iter().flat_map(|(name, it)| {
            [("added", it.added), ("removed", it.removed)]
                .map(|(change, count)| ([("roster", &**name), ("change", change)], count))
        });
        out.counters(
            &family("roster_member_changes", "Members that were added or removed, as templates see it."),
            changes,
        )?;
        out.counters(
            &family("roster_holds", "Holds that began."),
            counted.iter().map(|(name, it)| ([("roster", &**name)], it.holds)),
        )
    }

    fn templates(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let tallies: [(_, _, _, Counted); 4] = [
            ("template_renders", "Renderings, by outcome.", "template_render_duration", |it| Some(&it.renders)),
            ("template_checks", "Runs of check_cmd, by outcome.", "template_check_duration", |it| {
                Some(&it.checks).filter(|_| it.has_check)
            }),
            ("template_writes", "Results for files, by outcome.", "template_write_duration", |it| Some(&it.writes)),
            ("template_reloads", "Reloads, by outcome.", "template_reload_duration", |it| {
                Some(&it.reloads).filter(|_| it.has_reload)
            }),
        ];
        for (name, help, duration, tally) in tallies {
            let tallies =
                self.counters.templates.iter().filter_map(|(name, it)| Some((("template", &**name), tally(it)?)));
            tallied(out, tallies, &family(name, help), &family(duration, duration_help(duration)).seconds())?;
        }
        out.counters(
            &family("write_errors", "Files that could not be written, by the system's error."),
            self.counters.write_errors.iter().map(|(errno, count)| ([("errno", errno.as_str())], *count)),
        )
    }

    fn services(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let services = &self.status.services;
        out.gauges(
            &family("service_up", "Whether the checks show that the service is up; absent until that is known."),
            services.iter().filter_map(|it| Some(([("service", it.name.as_str())], flag(it.up?)))),
        )?;
        out.gauges(
            &family("service_registered", "Whether the service's node is registered."),
            services.iter().map(|it| ([("service", it.name.as_str())], flag(it.registered))),
        )?;
        out.gauges(
            &family("service_drained", "Whether the service was taken out by hand."),
            services.iter().map(|it| ([("service", it.name.as_str())], flag(it.drained))),
        )?;
        let counted = &self.counters.services;
        let checks = counted.iter().map(|(name, it)| (("service", &**name), &it.checks));
        let duration = family("service_check_duration", "How long a check took.").seconds();
        tallied(out, checks, &family("service_checks", "Checks of the service, by outcome."), &duration)?;
        let registrations = counted.iter().flat_map(|(name, it)| outcomes(("service", &**name), &it.registrations));
        out.counters(
            &family("service_registrations", "What happened to the service's node, by outcome."),
            registrations,
        )
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut Exposition(encoder);
        self.agent(out)?;
        self.registries(out)?;
        self.rosters(out)?;
        let clock = self.snapshot.context.clock(&self.snapshot.report);
        files::encode(out, &self.files, &clock)?;
        self.templates(out)?;
        self.services(out)?;
        process::encode(out, self.started)
    }
}

/// How recent each view is.
fn views<'l>(
    out: &mut Exposition<'_>,
    now: Moment,
    prefix: &str,
    views: impl Iterator<Item = (&'static str, &'l str, Freshness)> + Clone,
) -> fmt::Result {
    let name = format!("{prefix}_fresh");
    let help = "Whether the registry is connected and the path has been read since.";
    out.gauges(
        &family(&name, help),
        views.clone().map(|(label, name, freshness)| ([(label, name)], flag(freshness.is_live()))),
    )?;
    let name = format!("{prefix}_view_age");
    let help = "How long ago the view was last confirmed: 0 while it is fresh, absent before the first one.";
    let ages = views.filter_map(|(label, name, it)| Some(([(label, name)], it.age(now)?.as_secs_f64())));
    out.gauges(&family(&name, help).seconds(), ages)
}

fn outcomes<'l>(name: Label<'l>, tally: &'l Tally) -> impl Iterator<Item = ([Label<'l>; 2], u64)> {
    tally.counts().iter().map(move |(outcome, count)| ([name, ("outcome", *outcome)], *count))
}

/// A counter by outcome, and a histogram.
fn tallied<'l>(
    out: &mut Exposition<'_>,
    tallies: impl Iterator<Item = (Label<'l>, &'l Tally)> + Clone,
    count: &Family,
    duration: &Family,
) -> fmt::Result {
    out.counters(count, tallies.clone().flat_map(|(name, tally)| outcomes(name, tally)))?;
    out.histograms(duration, tallies.map(|(name, tally)| ([name], tally.seconds())))
}

fn duration_help(name: &str) -> &'static str {
    match name {
        "template_render_duration" => "How long a rendering took.",
        "template_check_duration" => "How long check_cmd ran.",
        "template_write_duration" => "How long it took to render, check and replace a file that was written.",
        _ => "How long a reload ran, with its verification.",
    }
}
