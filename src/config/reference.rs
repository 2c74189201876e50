//! Descriptions of keys, from docs/configuration.md. That page is their only source.

use std::sync::LazyLock;

use regex_lite::Regex;

/// The page. `## [table]` and `### key` are its headings; code is between backquotes.
const PAGE: &str = include_str!("../../docs/configuration.md");

/// A link, or an anchor. Only its text is kept.
static LINK: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"<a [^>]*></a>|\[(`[^`]*`|[^\]\[]*)\]\([^)]*\)").ok());

/// Describes a key of a table: the first paragraph about it, on one line, and its default. Without a key, describes the
/// table. Empty if the page says nothing.
#[must_use]
pub fn description(table: &str, key: Option<&str>) -> String {
    let is_table = |line: &str| line.strip_prefix("## ").is_some_and(|title| title.replace('`', "") == table);
    let is_key = |line: &str, key: &str| {
        line.strip_prefix("### ").is_some_and(|title| title.split('`').skip(1).step_by(2).any(|name| name == key))
    };
    let mut lines = PAGE.lines().skip_while(|line| !is_table(line)).skip(1).take_while(|line| !line.starts_with("## "));
    if let Some(key) = key {
        lines.find(|line| is_key(line, key));
    }
    let paragraphs = paragraphs(lines.take_while(|line| !line.starts_with("##")));
    let Some(first) = paragraphs.first() else { return String::new() };
    let default = paragraphs.iter().skip(1).find_map(|text| text.find("Default: ").and_then(|at| text.get(at..)));
    match default.filter(|_| key.is_some() && !first.contains("Default: ")) {
        Some(default) => format!("{first} {default}"),
        None => first.clone(),
    }
}

/// The paragraphs of a text without its code blocks, each on one line and without links.
fn paragraphs<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (mut all, mut is_code) = (vec![String::new()], false);
    for line in lines {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if line.is_empty() {
            all.push(String::new());
        } else if let Some(text) = all.last_mut().filter(|_| !is_code) {
            text.push_str(if text.is_empty() { "" } else { " " });
            text.push_str(line);
        }
    }
    all.iter().filter(|text| !text.is_empty()).map(|text| plain(text)).collect()
}

/// Markdown as plain text. Code stays between backquotes.
fn plain(text: &str) -> String {
    let text = LINK.as_ref().map_or_else(|| text.into(), |link| link.replace_all(text, "$1"));
    text.replace("**", "").replace("; see below", "")
}
