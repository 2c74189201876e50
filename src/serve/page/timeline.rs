//! Who came and went in the last hour: a picture, and the same as a list.

use std::sync::Arc;
use std::time::SystemTime;

use super::Page;
use super::events::time_of;
use crate::decide::report::{RosterReport, plural};
use crate::http_server::html::Html;
use crate::serve::recent_events::{MemberChange, RecentEvent, WINDOW};

/// The width and height of the picture in its own units: ten seconds are one unit wide.
const SIZE: (f64, f64) = (360.0, 40.0);

/// The most events in the list.
const MAX_EVENTS: usize = 15;

/// Events that the list shows beside changes of members.
const SHOWN: [&str; 5] = ["members_changed", "roster_held", "hold_released", "hold_accepted", "roster_stale"];

impl Page<'_> {
    pub(super) fn timeline(&self, html: &mut Html, name: &Arc<str>, roster: &RosterReport) {
        let events: Vec<&RecentEvent> =
            self.events_about("roster", name).iter().copied().filter(|it| SHOWN.contains(&it.kind.name)).collect();
        html.leaf("h4", &[], "Last hour");
        let held_since = roster.holds.iter().filter(|_| roster.held).map(|it| self.clock.at(it.hold.since)).min();
        if events.is_empty() && held_since.is_none() {
            let text = format!("No member came or went {}.", self.events_since());
            return html.leaf("p", &[], &text);
        }
        self.picture(html, &events, held_since);
        html.element("ol", &[("class", "events")], |html| {
            for event in events.iter().take(MAX_EVENTS) {
                html.element("li", &[], |html| {
                    time_of(html, event.at, self.context.wall);
                    match &event.change {
                        Some(change) => names(html, change, &roster.config.subject.to_string()),
                        None => html.text(event.kind.message),
                    }
                });
            }
            if events.len() > MAX_EVENTS {
                html.leaf("li", &[], &format!("and {} earlier", events.len() - MAX_EVENTS));
            }
        });
    }

    /// Joins above the line, leaves below it, and holds as a band. Text browsers show the list only.
    fn picture(&self, html: &mut Html, events: &[&RecentEvent], held_since: Option<SystemTime>) {
        let (width, height) = SIZE;
        let x = |at: SystemTime| {
            let age = self.context.wall.duration_since(at).unwrap_or_default().min(WINDOW);
            width - age.as_secs_f64() / WINDOW.as_secs_f64() * width
        };
        let rect = |html: &mut Html, class: &str, from: f64, to: f64, (top, bottom): (f64, f64)| {
            let number = |n: f64| format!("{n:.1}");
            let (from, top, wide, high) = (number(from), number(top), number(to - from), number(bottom - top));
            let position = [("class", class), ("x", &from), ("y", &top), ("width", &wide), ("height", &high)];
            html.leaf("rect", &position, "");
        };
        let (joined, left) = events
            .iter()
            .filter_map(|it| it.change.as_ref())
            .fold((0, 0), |(joined, left), it| (joined + it.counts.0, left + it.counts.1));
        let counts = format!("{joined} joined, {left} left");
        let label = format!("Last hour: {counts}");
        let view = format!("0 0 {width} {height}");
        let attributes = [
            ("class", "timeline"),
            ("viewBox", view.as_str()),
            ("preserveAspectRatio", "none"),
            ("role", "img"),
            ("aria-label", &label),
        ];
        html.element("svg", &attributes, |html| {
            for (from, to) in holds(events, held_since) {
                let (from, to) = (from.map_or(0.0, x).min(width - 2.0), to.map_or(width, x));
                rect(html, "hold", from, to.max(from + 2.0), (0.0, height));
            }
            let middle = height / 2.0;
            rect(html, "axis", 0.0, width, (middle - 0.5, middle + 0.5));
            for event in events.iter().rev() {
                let Some(change) = &event.change else { continue };
                let at = x(event.at).min(width - 1.5);
                rect(html, "joined", at - 1.5, at + 1.5, (middle - tall(change.counts.0), middle));
                rect(html, "left", at - 1.5, at + 1.5, (middle, middle + tall(change.counts.1)));
            }
        });
        html.element("p", &[("class", "axis"), ("aria-hidden", "true")], |html| {
            html.leaf("span", &[], "1 h ago ");
            html.leaf("span", &[], &counts);
            html.text(" ");
            html.leaf("span", &[], "now");
        });
    }
}

/// The height of a bar: one member is well visible, and a hundred fill the half.
fn tall(members: usize) -> f64 {
    let count = f64::from(u32::try_from(members).unwrap_or(u32::MAX));
    if members == 0 { 0.0 } else { (6.0 + 7.0 * count.log10()).min(SIZE.1 / 2.0) }
}

/// The holds in the hour before now, each with its start and its end, if they are in it.
fn holds(events: &[&RecentEvent], held_since: Option<SystemTime>) -> Vec<(Option<SystemTime>, Option<SystemTime>)> {
    let (mut all, mut open) = (Vec::new(), None);
    let mut is_first = true;
    for event in events.iter().rev() {
        match event.kind.name {
            "roster_held" if open.is_none() => open = Some(event.at),
            "hold_released" if open.is_some() || is_first => all.push((open.take(), Some(event.at))),
            _ => continue,
        }
        is_first = false;
    }
    all.extend(held_since.map(|since| (Some(open.unwrap_or(since)), None)));
    all
}

/// `+10.0.0.3:80 −10.0.0.2:80, 3 members`.
fn names(html: &mut Html, change: &MemberChange, path: &str) {
    if change.path != path {
        html.leaf("bdi", &[], &change.path);
        html.text(": ");
    }
    for (sign, class, names, count) in
        [("+", "joined", &change.added, change.counts.0), ("−", "left", &change.removed, change.counts.1)]
    {
        for name in names {
            html.element("span", &[("class", class)], |html| {
                html.text(sign);
                html.leaf("bdi", &[], name);
            });
            html.text(" ");
        }
        if count > names.len() {
            html.text(&format!("{sign}{} more ", count - names.len()));
        }
    }
    if change.changed > 0 {
        html.text(&format!("{} updated, ", change.changed));
    }
    html.text(&format!("{} now", plural(change.members, "member")));
}
