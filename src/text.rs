//! Small helpers on text.

pub mod backup;
pub mod file_name;
pub mod nearest;
pub mod time;
pub mod yaml;

/// The first line of a text that is not blank, with `…` if others follow: a command of many lines on one.
pub fn one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    if lines.next().is_some() { format!("{first} …") } else { first.to_owned() }
}
