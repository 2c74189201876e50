//! What Tera accepts in a template and is rarely meant.

use crate::config::{Problem, TemplateConfig, UnitPaths};

use super::lex::comments;
use super::source::Source;
use super::syntax_hints::RAW;

/// Every warning about a file of a template, in one line each.
pub fn of_file(file: &Source, template: &TemplateConfig, unit: Option<(&str, &UnitPaths)>) -> Vec<String> {
    let dests = unit.filter(|_| template.check.is_some()).map(|(_, dests)| literal_dests(file, template, dests));
    let all = suspicious_comments(file).into_iter().chain(dests.into_iter().flatten());
    all.map(|problem| problem.one_line()).collect()
}

/// Comments that look like text for another program, as `${#x}` of a shell does.
fn suspicious_comments(file: &Source) -> Vec<Problem> {
    let text = &*file.text;
    let is_suspicious = |open: usize, end: usize| {
        let before = text[..open].rsplit('\n').next().unwrap_or_default();
        // A comment of several lines begins a line, or follows a tag.
        let is_apart = before.trim_end().is_empty() || before.trim_end().ends_with('}');
        before.ends_with('$') || (!is_apart && text[open..end].contains('\n'))
    };
    let found = comments(text).into_iter().filter(|comment| is_suspicious(comment.start, comment.end));
    found
        .map(|comment| {
            let lines = text[comment.clone()].matches('\n').count();
            let until = if lines == 0 { String::new() } else { format!(" ({lines} lines below)") };
            let message = format!("this {{# begins a comment: the text up to the next #}}{until} is left out");
            file.problem(comment.start..comment.start + 2, message, Some(RAW.to_owned()))
        })
        .collect()
}

/// Destinations of the template's unit that are written out, whole or relative to the template's own: the check would
/// read the old file.
fn literal_dests(file: &Source, template: &TemplateConfig, dests: &UnitPaths) -> Vec<Problem> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let others = dests.iter().filter(|(name, _)| **name != template.name);
    let directory = template.dest.parent();
    let is_used = |at: usize, path: &str| {
        let (before, after) = (&file.text[..at], &file.text[at + path.len()..]);
        let is_note = before.rsplit('\n').next().is_some_and(|line| line.trim_start().starts_with('#'));
        // staged['b.map']
        let is_name = before.trim_end_matches(['\'', '"']).trim_end().ends_with('[');
        !is_note && !is_name && !before.ends_with(is_path) && !after.starts_with(is_path)
    };
    let found = others.filter_map(|(name, dest)| {
        let relative = directory.and_then(|directory| dest.strip_prefix(directory).ok()?.to_str());
        let (at, dest) = dest.to_str().into_iter().chain(relative).find_map(|path| {
            let (at, _) = file.text.match_indices(path).find(|(at, _)| is_used(*at, path))?;
            Some((at, path))
        })?;
        let message = format!("the check of {} reads {dest} as it was before this change", template.name);
        let hint = format!("write {{{{ staged['{name}'] }}}}: in the check, that is the new file");
        Some(file.problem(at..at + dest.len(), message, Some(hint)))
    });
    found.collect()
}
