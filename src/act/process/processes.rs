//! The system's processes, as `/proc` shows them.

use std::{fs, io};

use super::output::printable;

#[cfg(test)]
mod tests;

/// How much of a command line a message shows.
const SHOWN: usize = 60;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its process ID.
    pub pid: i32,
    /// The process ID of its parent.
    pub parent: i32,
    /// The ID of its process group.
    pub group: i32,
    /// When it started, in clock ticks since boot. Distinguishes two processes with the same ID.
    pub started: u64,
    /// Whether it has ended. Its parent has not waited for it yet.
    pub ended: bool,
}

/// All processes, except those that end meanwhile.
///
/// # Errors
/// `/proc` cannot be read.
pub fn all() -> io::Result<impl Iterator<Item = Process>> {
    let number = |name: &std::ffi::OsStr| name.to_str()?.parse().ok();
    let entries = fs::read_dir("/proc")?.flatten();
    Ok(entries.filter_map(move |entry| find(number(&entry.file_name())?)))
}

/// The process with this ID.
pub fn find(pid: i32) -> Option<Process> {
    // A program may give itself any name, and the kernel may cut a long one in the middle of a character.
    read(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// The kernel's name of a process. It can be read even if the process hangs.
pub fn name(pid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    printable(String::from_utf8_lossy(&name).trim_end())
}

/// The first words of a command line, up to the first option: later words may be secrets.
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

/// Parses a line of `proc_pid_stat(5)`. The name in parentheses may contain anything. State, parent and group follow
/// it, and field 22 is the start.
fn read(stat: &str) -> Option<Process> {
    let (first, fields) = stat.rsplit_once(')')?;
    let pid = first.split(' ').next()?.parse().ok()?;
    let mut fields = fields.split_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X" | "x");
    let mut number = || fields.next()?.parse().ok();
    let (parent, group) = (number()?, number()?);
    Some(Process { pid, parent, group, started: fields.nth(16)?.parse().ok()?, ended })
}
