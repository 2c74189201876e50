//! Every link of the documentation leads somewhere, and the book has every page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::docs::{pages, root, text};

const SUMMARY: &str = "docs/SUMMARY.md";

/// A page without its code, which contains no links.
fn prose(page: &str) -> String {
    let mut in_block = false;
    let mut lines = Vec::new();
    for line in text(page).lines() {
        let is_fence = line.starts_with("```");
        in_block ^= is_fence;
        let indented = line.starts_with("    ");
        lines.push(if in_block || is_fence || indented { String::new() } else { line.to_owned() });
    }
    lines.join("\n").split('`').step_by(2).collect()
}

/// The targets of the links and images of a page, without those on the web.
fn targets(page: &str) -> Vec<String> {
    let prose = prose(page);
    let found = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned());
    found.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// The anchor that a heading gets, here as in the book.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The anchors of a page: its headings, and its explicit ones.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut in_block = false;
    let (mut anchors, mut count) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    for line in text(page).lines() {
        in_block ^= line.starts_with("```");
        for (_, rest) in line.match_indices("<a id=\"").map(|(at, start)| line.split_at(at + start.len())) {
            anchors.insert(rest.split('"').next().unwrap().to_owned());
        }
        let title = line.trim_start_matches('#');
        if !in_block && title.len() < line.len() && title.starts_with(' ') {
            let slug = slug(title.trim());
            let seen = count.entry(slug.clone()).or_default();
            anchors.insert(if *seen == 0 { slug } else { format!("{slug}-{seen}") });
            *seen += 1;
        }
    }
    anchors
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in pages() {
        for target in targets(&page) {
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = match file {
                "" => page.clone(),
                file => Path::new(&page).with_file_name(file).to_str().unwrap().to_owned(),
            };
            // A link out of docs/ would be dead in the book.
            let leaves = page.starts_with("docs/") && target.starts_with("..");
            let exists = root().join(&file).exists() && !leaves;
            if !exists || !anchor.is_empty() && !anchors(&file).contains(anchor) {
                wrong.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(count > 100, "only {count} links were found");
    assert!(wrong.is_empty(), "dead links:\n{}", wrong.join("\n"));
}

#[test]
fn the_book_lists_every_page_once() {
    let mut listed: Vec<String> = targets(SUMMARY).iter().map(|target| format!("docs/{target}")).collect();
    listed.sort();
    let pages: Vec<String> = pages().into_iter().filter(|page| page.starts_with("docs/") && page != SUMMARY).collect();
    assert_eq!(listed, pages, "{SUMMARY} is not the list of the pages of docs/");
}
