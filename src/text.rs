//! Small helpers on text.

pub mod backup;
pub mod command;
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

/// Whether no supported program needs quotes for the text.
pub fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/@+-".contains(c))
}

/// One word for sh or haproxy, in single quotes if needed. In both, a single quote always ends the quoted part, so it is
/// escaped outside of the quotes.
pub fn single_quoted(text: &str) -> String {
    if is_bare(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
