//! The reference of commands has every command, option and exit code, and no others.

use std::collections::BTreeSet;

use super::rosterd;
use crate::support::docs::{pages, text};

const REFERENCE: &str = "docs/commands.md";

fn help(args: &[&str]) -> String {
    let output = rosterd(&[args, &["--help"]].concat());
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The commands, as `--help` lists them.
fn commands() -> Vec<String> {
    let commands = commands_in(&help(&[]));
    assert!(commands.len() > 5, "{commands:?}");
    commands
}

fn commands_in(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

/// Every `--option` in a text.
fn options(text: &str) -> BTreeSet<String> {
    let letter = |c: char| c.is_ascii_lowercase() || c == '-';
    let found =
        text.match_indices("--").filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '-'));
    let options = found.map(|(at, _)| text[at..].split(|c| !letter(c)).next().unwrap().trim_end_matches('-'));
    options.filter(|option| option.len() > 2).map(str::to_owned).collect()
}

/// The part of the reference under `## name`.
fn section(name: &str) -> String {
    let reference = text(REFERENCE);
    let lines = reference.lines().skip_while(|line| *line != format!("## {name}")).skip(1);
    lines.take_while(|line| !line.starts_with("## ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_command_and_option_is_in_the_reference_and_no_other() {
    let documented = options(&text(REFERENCE));
    let mut known = options(&help(&[]));
    for command in commands() {
        assert!(!section(&command).is_empty(), "{REFERENCE} has no ## {command}");
        let help_of_all = help(&[&command]);
        known.extend(options(&help_of_all));
        for nested in commands_in(&help_of_all) {
            known.extend(options(&help(&[&command, &nested])));
        }
    }
    let missing: Vec<_> = known.difference(&documented).collect();
    assert!(missing.is_empty(), "{REFERENCE} lacks {missing:?}");
    let unknown: Vec<_> = documented.difference(&known).collect();
    assert!(unknown.is_empty(), "{REFERENCE} has {unknown:?}, which no command knows");
}

#[test]
fn every_example_in_a_help_text_can_be_typed() {
    let mut examples = 0;
    let all = commands();
    let each = all.iter().map(|command| vec![command.as_str()]);
    for command in each.chain([vec![]]) {
        for line in help(&command).lines().filter_map(|line| line.strip_prefix("  rosterd ")) {
            let line = line.replace('\'', "");
            let mut words: Vec<&str> = line.split(' ').collect();
            words.insert(words.iter().position(|word| *word == "--").unwrap_or(words.len()), "--help");
            assert!(rosterd(&words).status.success(), "{line}");
            examples += 1;
        }
    }
    assert!(examples > 10, "{examples}");
}

#[test]
fn an_option_is_under_the_command_that_takes_it() {
    let general = options(&help(&[]));
    for command in ["render", "get", "migrate"] {
        let own: BTreeSet<_> = options(&help(&[command])).difference(&general).cloned().collect();
        let documented = options(&section(command));
        let missing: Vec<_> = own.difference(&documented).collect();
        assert!(missing.is_empty(), "## {command} says nothing of {missing:?}");
        let unknown: Vec<_> = documented.difference(&own).filter(|option| !general.contains(*option)).collect();
        assert!(unknown.is_empty(), "## {command} has {unknown:?}, which it does not take");
    }
}

#[test]
fn every_exit_code_is_in_the_reference_and_no_other() {
    let code = |line: &str| line.trim().trim_end_matches(',').rsplit_once(" = ")?.1.parse().ok();
    let source = text("src/error.rs");
    let within = source.lines().skip_while(|line| !line.contains("pub enum Exit")).take_while(|line| *line != "}");
    let known: BTreeSet<u8> = within.filter_map(code).collect();
    assert!(known.contains(&78), "src/error.rs is not as this test reads it");
    let cell = |line: &str| line.split('|').nth(1)?.trim().parse().ok();
    let documented: BTreeSet<u8> = section("Exit codes").lines().filter_map(cell).collect();
    assert_eq!(documented, known);
}

/// Every `rosterd …` that a page shows as a command, in a block or within backquotes, without optional parts and
/// without what follows another command's prompt.
fn shown(page: &str) -> Vec<(String, Vec<String>)> {
    let mut shown = Vec::new();
    let mut block = false;
    for (line, number) in text(page).lines().zip(1..) {
        block ^= line.starts_with("```");
        let typed = if block || line.starts_with("    ") {
            let line = line.trim().trim_start_matches("$ ");
            let line =
                line.strip_prefix("cargo run --release -- ").map_or(line.to_owned(), |args| format!("rosterd {args}"));
            vec![line]
        } else {
            line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        for command in typed.iter().filter_map(|text| text.strip_prefix("rosterd ")) {
            let command = command.split(['#', '|', '>', ';', '&']).next().unwrap();
            let words = command.split_whitespace().filter(|word| !word.starts_with('[') && !word.ends_with(']'));
            let filled = words.map(|word| match word {
                "N" | "M" => "1",
                "P" | "PATH" => "/services/web",
                word => word,
            });
            let words: Vec<String> = filled.map(str::to_owned).collect();
            if !words.iter().any(|word| word == "COMMAND") {
                shown.push((format!("{page}:{number}"), words));
            }
        }
    }
    shown
}

#[test]
fn every_shown_command_line_is_valid() {
    let all: Vec<_> = pages().iter().flat_map(|page| shown(page)).collect();
    assert!(all.iter().filter(|(place, _)| place.starts_with("README.md")).count() >= 5, "{all:?}");
    for (place, words) in all {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        // What follows `--` belongs to another program.
        words.insert(words.iter().position(|word| *word == "--").unwrap_or(words.len()), "--help");
        let output = rosterd(&words);
        // Errors are reported before the help is printed.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{place}: rosterd {}: {said}", words.join(" "));
        assert!(said.is_empty(), "{place}: {said}");
    }
}

#[test]
fn the_readme_names_every_command() {
    let readme = text("README.md");
    for command in commands() {
        assert!(readme.contains(&format!("| `{command}")), "the README's table has no {command}");
    }
}
