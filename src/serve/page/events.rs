//! The events of the last hour.

use std::time::SystemTime;

use super::Page;
use super::item::{output, sentence};
use super::section;
use crate::decide::Severity;
use crate::http_server::html::Html;
use crate::serve::recent_events::RecentEvent;
use crate::text::time::{rough, utc};

/// The most events in the list of all.
const MAX_EVENTS: usize = 50;

impl Page<'_> {
    pub(super) fn events(&self, html: &mut Html) {
        section(html, "events", "Events", |html| {
            let shown = self.recent.len().min(MAX_EVENTS);
            let text = match self.recent.len() {
                0 => format!("None {}.", self.events_since()),
                all if all > shown => format!("The last {shown} of {all} {}; the log has all.", self.events_since()),
                all => format!("{all} {}.", self.events_since()),
            };
            html.leaf("p", &[], &text);
            let events = self.recent.iter().take(MAX_EVENTS).map(AsRef::as_ref).collect::<Vec<_>>();
            self.event_list(html, &events, false);
        });
    }

    /// Events, the newest first, and the output of the newest command that failed.
    pub(super) fn event_list(&self, html: &mut Html, events: &[&RecentEvent], with_output: bool) {
        if events.is_empty() {
            return;
        }
        html.element("ol", &[("class", "events")], |html| {
            let with_output = events.iter().position(|it| with_output && it.text.contains('\n'));
            for (number, event) in events.iter().enumerate() {
                html.element("li", &[], |html| self.event(html, event, with_output == Some(number)));
            }
        });
    }

    fn event(&self, html: &mut Html, event: &RecentEvent, with_output: bool) {
        time_of(html, event.at, self.context.wall);
        let (class, word) = match event.kind.severity {
            Severity::Debug | Severity::Info => ("ok", ""),
            Severity::Warn => ("warning", "warning: "),
            Severity::Error => ("critical", "error: "),
        };
        html.leaf("b", &[("class", class)], &format!("{word}{}", event.kind.message));
        let (first, rest) = event.text.split_once('\n').unwrap_or((&event.text, ""));
        if !first.is_empty() {
            html.text(": ");
            sentence(html, first);
        }
        if with_output {
            output(html, rest);
        }
    }
}

/// The time of an event: `03:12:07 UTC, 4m ago`.
pub fn time_of(html: &mut Html, at: SystemTime, now: SystemTime) {
    let full = utc(at);
    // The date is in the title: the last hour has at most two.
    let clock = full.get(11..19).unwrap_or(&full);
    html.leaf("time", &[("datetime", &full), ("title", &full)], clock);
    html.leaf("span", &[("class", "ago")], &format!(" {} ago ", rough(now.duration_since(at).unwrap_or_default())));
}
