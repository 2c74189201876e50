//! What a plan changes, for people: own configurations, then views with the number of hosts that read them, then hosts.

use std::path::Path;

use crate::act::files::unified_diff;

use super::json::{Json, Object};
use super::path::Service;
use super::plan::{ObjectDiff, Plan};
use super::words::{hosts, listed, name};

#[cfg(test)]
mod tests;

/// A key with its value before and after.
type KeyChange<'a> = (&'a str, Option<&'a Json>, Option<&'a Json>);

/// The text of a plan's changes.
pub fn text(service: &Service, plan: &Plan) -> String {
    let mut out = String::new();
    for diff in &plan.confs {
        let kind = match (&diff.before, &diff.after) {
            (None, _) => "new environment",
            (_, None) => "deleted environment",
            _ => "own configuration",
        };
        line(&mut out, &format!("{}: {kind}", name(service, &diff.env)));
        out.push_str(&hunks(diff.before.as_ref(), diff.after.as_ref()));
    }
    let mut shown: Vec<(Vec<KeyChange<'_>>, Vec<&ObjectDiff>)> = Vec::new();
    for diff in plan.views.iter().filter(|diff| diff.after.is_some()) {
        let changes = changes(diff);
        match shown.iter_mut().find(|(known, _)| *known == changes) {
            Some((_, same)) => same.push(diff),
            None => shown.push((changes, vec![diff])),
        }
    }
    for (_, same) in shown {
        let [first, others @ ..] = &same[..] else { continue };
        line(&mut out, &format!("{}: view, read by {}", name(service, &first.env), hosts(first.hosts.len())));
        out.push_str(&hunks(first.before.as_ref(), first.after.as_ref()));
        if !others.is_empty() {
            let names: Vec<String> = others.iter().map(|diff| name(service, &diff.env)).collect();
            let readers = others.iter().map(|diff| diff.hosts.len()).sum();
            let views =
                if others.len() == 1 { "1 more view changes" } else { &format!("{} more views change", others.len()) };
            line(&mut out, &format!("{views} in the same way, read by {}: {}", hosts(readers), listed(&names)));
        }
    }
    for (host, (before, after)) in &plan.hosts {
        let show = |path: &Option<String>| path.clone().unwrap_or_else(|| "(no association)".to_owned());
        line(&mut out, &format!("host {host}: {} -> {}", show(before), show(after)));
    }
    out
}

/// A line whose text comes from others: control characters are escaped.
fn line(out: &mut String, text: &str) {
    out.push_str(&crate::log::plain(text));
    out.push('\n');
}

/// How an object changes, by line of its readable form. Empty, if it does not.
pub fn hunks(before: Option<&Object>, after: Option<&Object>) -> String {
    let pretty = |object: Option<&Object>| {
        object.map_or_else(String::new, |object| Json::Object(object.clone()).pretty() + "\n")
    };
    let (before, after) = (pretty(before), pretty(after));
    let diff = unified_diff(Some(before.as_bytes()), after.as_bytes(), Path::new("conf"));
    diff.split_inclusive('\n').skip_while(|line| !line.starts_with("@@")).collect()
}

fn changes(diff: &ObjectDiff) -> Vec<KeyChange<'_>> {
    let (before, after) = (diff.before.as_ref(), diff.after.as_ref());
    let mut found: Vec<KeyChange<'_>> = Vec::new();
    for (key, value) in before.into_iter().flatten() {
        let now = after.and_then(|after| after.get(key));
        if now != Some(value) {
            found.push((key, Some(value), now));
        }
    }
    for (key, value) in after.into_iter().flatten() {
        if before.is_none_or(|before| !before.contains_key(key)) {
            found.push((key, None, Some(value)));
        }
    }
    found.sort_by_key(|(key, ..)| *key);
    found
}
