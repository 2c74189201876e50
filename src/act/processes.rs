//! The system's processes, as `/proc` shows them.

use std::fs;
use std::io;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    /// Its number.
    pub pid: i32,
    /// The number of its parent.
    pub parent: i32,
    /// The number of its process group.
    pub group: i32,
    /// Whether it has ended, and nobody has waited for it yet.
    pub ended: bool,
}

/// All of them, but those that end while they are looked at.
///
/// # Errors
/// There is no `/proc`.
pub(super) fn all() -> io::Result<impl Iterator<Item = Process>> {
    let numbered = |name: &std::ffi::OsString| name.as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
    let entries = fs::read_dir("/proc")?.flatten().filter(move |entry| numbered(&entry.file_name()));
    Ok(entries.filter_map(|entry| read(&fs::read_to_string(entry.path().join("stat")).ok()?)))
}

/// What one of them calls itself, while it is there.
pub(super) fn name(pid: i32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned())
}

/// A line of `proc_pid_stat(5)`. The name in parentheses may hold anything; after it come state, parent and group.
fn read(stat: &str) -> Option<Process> {
    let (first, fields) = stat.rsplit_once(')')?;
    let pid = first.split(' ').next()?.parse().ok()?;
    let mut fields = fields.split_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X" | "x");
    let mut number = || fields.next()?.parse().ok();
    Some(Process { pid, parent: number()?, group: number()?, ended })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_program_calls_itself() {
        let process = |parent, group, ended| Some(Process { pid: 12, parent, group, ended });
        let cases = [
            ("12 (sleep) S 1 7 7 0", process(1, 7, false)),
            ("12 (a) Z 1 9) D 1 7 7 0", process(1, 7, false)),
            ("12 (sleep) Z 1 7 7 0", process(1, 7, true)),
            ("12 (sleep) S 7 8 7 0", process(7, 8, false)),
            ("12 (sleep", None),
            ("", None),
        ];
        for (stat, expected) in cases {
            assert_eq!(read(stat), expected, "{stat}");
        }
    }
}
