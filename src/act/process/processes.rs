//! The system's processes, as `/proc` shows them.

use std::{fs, io};

use super::output::printable;

#[cfg(test)]
mod tests;

/// How much of a command line a message shows.
const SHOWN: usize = 60;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// The number of its parent.
    pub parent: i32,
    /// The number of its process group.
    pub group: i32,
    /// When it began, in ticks of the system's clock since boot: tells two with the same number apart.
    pub started: u64,
    /// Whether it has ended, and nobody has waited for it yet.
    pub ended: bool,
}

/// All of them, but those that end while they are looked at.
///
/// # Errors
/// There is no `/proc`.
pub fn all() -> io::Result<impl Iterator<Item = Process>> {
    let number = |name: &std::ffi::OsStr| name.to_str()?.parse().ok();
    let entries = fs::read_dir("/proc")?.flatten();
    Ok(entries.filter_map(move |entry| find(number(&entry.file_name())?)))
}

/// The one with this number.
pub fn find(pid: i32) -> Option<Process> {
    // A program may give itself any name, and the system cuts a long one in the midst of a letter.
    read(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// What it is called, as the system knows it: that can be had of a process that hangs, too.
pub fn name(pid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    printable(String::from_utf8_lossy(&name).trim_end())
}

/// The first words of its command line, up to the first that is an option: further on there may be secrets.
pub fn command_line(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let first = first_words(&line);
    if first.is_empty() { name(pid) } else { first }
}

fn first_words(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let plain = |word: &&str| !word.is_empty() && !word.starts_with('-') && !word.contains(['=', '@']);
    let words: Vec<&str> = line.split(['\0', ' ']).take_while(plain).collect();
    let words = words.join(" ");
    let cut: String = words.chars().take(SHOWN).collect();
    let more = if cut.len() < words.len() { "…" } else { "" };
    printable(&cut) + more
}

/// A line of `proc_pid_stat(5)`. The name in parentheses may hold anything; after it come state, parent and group, and
/// the 22nd field of all is the start.
fn read(stat: &str) -> Option<Process> {
    let (first, fields) = stat.rsplit_once(')')?;
    let pid = first.split(' ').next()?.parse().ok()?;
    let mut fields = fields.split_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X" | "x");
    let mut number = || fields.next()?.parse().ok();
    let (parent, group) = (number()?, number()?);
    Some(Process { pid, parent, group, started: fields.nth(16)?.parse().ok()?, ended })
}
