//! The files of templates: their states, and what failed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::counters::Counters;
use super::exposition::{Exposition, Family, Read, number, timestamp};
use crate::decide::Moment;
use crate::decide::report::{Report, Stage};
use crate::report::context::Clock;
use crate::report::status::{Status, TemplateState};

/// The files of a template. Most have one.
#[derive(Debug, Default)]
pub struct Files {
    states: [usize; 3],
    failed: [usize; STAGES.len()],
    reloads_pending: usize,
    reload_failures: u32,
    drifted: usize,
    isolated: usize,
    without_port: usize,
    /// When each was last found or brought up to date: the oldest time.
    rendered: Option<Moment>,
}

/// The states of a file, and their names.
const STATES: [(TemplateState, &str); 3] = [
    (TemplateState::UpToDate, "up_to_date"),
    (TemplateState::Updating, "updating"),
    (TemplateState::NotUpToDate, "not_up_to_date"),
];

/// What a file can fail at, and its name.
const STAGES: [(&[Stage], &str); 6] = [
    (&[Stage::Render], "render"),
    (&[Stage::Write, Stage::Changed], "write"),
    (&[Stage::Refused], "check_rejected"),
    (&[Stage::Check], "check_failed"),
    (&[Stage::Unit], "unit"),
    (&[Stage::Rollback], "rollback"),
];

/// Counts the files of each template.
pub fn collect(report: &Report, status: &Status, counters: &Counters) -> BTreeMap<Arc<str>, Files> {
    let mut all: BTreeMap<Arc<str>, Files> =
        counters.templates.keys().map(|name| (Arc::clone(name), Files::default())).collect();
    // Both are in the order of their names.
    for ((name, it), shown) in report.templates.iter().zip(&status.templates) {
        let Some(files) = counters.template_of(name).and_then(|name| all.get_mut(&name)) else { continue };
        if it.config.pattern().is_some() {
            continue;
        }
        for ((state, _), count) in STATES.iter().zip(&mut files.states) {
            *count += usize::from(*state == shown.state);
        }
        let failed = it.failure.as_ref().map(|it| it.failure.stage);
        for ((stages, _), count) in STAGES.iter().zip(&mut files.failed) {
            *count += usize::from(failed.is_some_and(|stage| stages.contains(&stage)));
        }
        files.reloads_pending += usize::from(shown.owed_reload);
        let failures = shown.reload.as_ref().map_or(0, |it| it.failures);
        files.reload_failures = files.reload_failures.max(failures);
        files.drifted += usize::from(it.drift.is_some());
        files.isolated += it.isolated.len();
        files.without_port += it.without_port.len();
        files.rendered = files.rendered.into_iter().chain(it.rendered).min();
    }
    all
}

/// Writes their families.
pub fn encode(out: &mut Exposition<'_>, all: &BTreeMap<Arc<str>, Files>, clock: &Clock<'_>) -> fmt::Result {
    let states = all.iter().flat_map(|(name, files)| {
        let series = |((_, state), count): ((_, &'static str), usize)| {
            ([("template", &**name), ("state", state)], number(count))
        };
        STATES.into_iter().zip(files.states).map(series)
    });
    out.gauges(&Family::new("template_files", "Files of the template, by state."), states)?;
    let failed = all.iter().flat_map(|(name, files)| {
        let series = |((_, stage), count): ((_, &'static str), usize)| {
            ([("template", &**name), ("stage", stage)], number(count))
        };
        STAGES.into_iter().zip(files.failed).map(series)
    });
    out.gauges(
        &Family::new("template_failed_files", "Files that could not be brought up to date, by what failed."),
        failed,
    )?;
    let gauges: [(_, _, Read<Files, usize>); 5] = [
        ("template_pending_reloads", "Files whose reload is pending.", |it| it.reloads_pending),
        ("template_reload_failures", "How often the pending reload has failed in a row.", |it| {
            it.reload_failures as usize
        }),
        ("template_drifted_files", "Files that another process has changed.", |it| it.drifted),
        ("template_isolated_members", "Members that are left out of a file, because it fails with them.", |it| {
            it.isolated
        }),
        (
            "template_members_without_port",
            "Members in a file whose port the template reads, and that have none.",
            |it| it.without_port,
        ),
    ];
    for (name, help, value) in gauges {
        let series = all.iter().map(|(name, files)| ([("template", &**name)], number(value(files))));
        out.gauges(&Family::new(name, help), series)?;
    }
    out.gauges(
            &Family::new(
                "template_rendered_timestamp",
                "When the file was last found or brought up to date, in seconds since 1970; the oldest, if there are several.",
            )
            .seconds(),
            all
                .iter()
                .filter_map(|(name, it)| Some(([("template", &**name)], timestamp(clock.at(it.rendered?)).round()))),
        )
}
