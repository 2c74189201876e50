//! The system's processes, as `/proc` shows them.

use std::fs;
use std::io;

use super::tail::printable;

/// How much of a command line a message shows.
const SHOWN: usize = 60;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
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
pub(super) fn all() -> io::Result<impl Iterator<Item = Process>> {
    let number = |name: &std::ffi::OsStr| name.to_str()?.parse().ok();
    let entries = fs::read_dir("/proc")?.flatten();
    Ok(entries.filter_map(move |entry| one(number(&entry.file_name())?)))
}

/// The one with this number.
pub(super) fn one(pid: i32) -> Option<Process> {
    // A program may give itself any name, and the system cuts a long one in the midst of a letter.
    read(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// What it is called, as the system knows it: that can be had of a process that hangs, too.
pub(super) fn name(pid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    printable(String::from_utf8_lossy(&name).trim_end())
}

/// The first words of its command line, up to the first that is an option: further on there may be secrets.
pub(super) fn words(pid: i32) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_program_calls_itself() {
        let process = |parent, group, ended| Some(Process { pid: 12, parent, group, started: 99, ended });
        let cases = [
            ("12 (sleep) S 1 7", process(1, 7, false)),
            ("12 (a) Z 1 9) D 1 7", process(1, 7, false)),
            ("12 (sleep) Z 1 7", process(1, 7, true)),
            ("12 (sleep) S 7 8", process(7, 8, false)),
            ("12 (sleep", None),
            ("", None),
        ];
        for (stat, expected) in cases {
            assert_eq!(read(&format!("{stat} 7 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 99 100 101")), expected, "{stat}");
            assert_eq!(read(stat), None, "cut off: {stat}");
        }
    }

    #[test]
    fn a_name_that_is_cut_in_the_midst_of_a_letter_hides_nobody() {
        let dir = tempfile::TempDir::new().unwrap();
        // 16 bytes, of which the system keeps 15.
        let program = dir.path().join("ääääääää");
        fs::copy("/bin/sleep", &program).unwrap();
        let mut child = std::process::Command::new(&program).arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let seen = all().unwrap().find(|process| process.pid == pid);
        let named = name(pid);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen.map(|process| process.pid), Some(pid));
        assert_eq!(named, "äääääää\u{fffd}");
    }

    #[test]
    fn first_words_are_short_tame_and_no_secrets() {
        let cases: [(&[u8], &str); 7] = [
            (b"sleep\x001000\0", "sleep 1000"),
            (b"sh\0-c\0echo x\0", "sh"),
            (b"db\0start\0--password\0secret\0", "db start"),
            (b"nginx: worker process\0\0\0", "nginx: worker process"),
            (b"get\0http://user:secret@host/\0", "get"),
            (b"a\x1b[31m\nb\0", "a\\u{1b}[31m\\nb"),
            (b"", ""),
        ];
        for (line, expected) in cases {
            assert_eq!(first_words(line), expected);
        }
        assert_eq!(first_words("é".repeat(70).as_bytes()), "é".repeat(60) + "…");
    }
}
