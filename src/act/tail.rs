//! The end of a command's output: bounded in memory, and harmless on a terminal and in a log.

use std::collections::VecDeque;
use std::fmt::Write;

/// How much of a command's output is kept, in bytes.
pub const KEPT: usize = 64 * 1024;
/// How many lines of it a message shows, and how much of each.
const SHOWN_LINES: usize = 20;
const SHOWN_WIDTH: usize = 500;

/// The last [`KEPT`] bytes of a command's standard output and standard error together, in the order written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    bytes: VecDeque<u8>,
    dropped: u64,
}

impl Tail {
    /// Takes more output, and lets go of the oldest.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        let fits = chunk.len().min(KEPT);
        let (skipped, kept) = chunk.split_at(chunk.len() - fits);
        let over = (self.bytes.len() + kept.len()).saturating_sub(KEPT);
        self.bytes.drain(..over);
        self.bytes.extend(kept);
        self.dropped += (over + skipped.len()) as u64;
    }

    /// What was kept.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.iter().copied().collect()
    }

    /// How many bytes before that were let go.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The last lines, each on an indented line of its own; empty without output.
    pub fn shown(&self) -> String {
        let bytes = self.bytes();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let first = lines.len().saturating_sub(SHOWN_LINES);
        let mut out = String::new();
        if first > 0 || self.dropped > 0 {
            out.push_str("\n  …");
        }
        for line in lines.iter().skip(first) {
            out.push_str("\n  ");
            out.push_str(&printable(&line.chars().take(SHOWN_WIDTH).collect::<String>()));
            if line.chars().nth(SHOWN_WIDTH).is_some() {
                out.push('…');
            }
        }
        out
    }
}

/// The text with everything escaped that a terminal would obey, or that would make one line look like two.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Line and paragraph separators, and the marks that turn the direction of the text around them.
        let misleads = matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match c {
            '\t' | '\r' | '\n' => out.extend(c.escape_default()),
            _ if misleads || c.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_end_is_kept() {
        for chunk in [1, 7, 1000, KEPT - 1, KEPT, KEPT + 1, 3 * KEPT] {
            let all: Vec<u8> = (0..=250).cycle().take(3 * KEPT + 5).collect();
            let mut tail = Tail::default();
            for part in all.chunks(chunk) {
                tail.push(part);
                assert!(tail.bytes.len() <= KEPT);
            }
            assert_eq!(tail.bytes(), &all[all.len() - KEPT..], "{chunk}");
            assert_eq!(tail.dropped(), (all.len() - KEPT) as u64, "{chunk}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_tame() {
        let shown = |bytes: &[u8]| {
            let mut tail = Tail::default();
            tail.push(bytes);
            tail.shown()
        };
        assert_eq!(shown(b""), "");
        assert_eq!(shown(b"one\n\ntwo\r\n"), "\n  one\n  two");
        assert_eq!(
            shown("caf\u{e9} \u{1b}[31m\ta\u{202e}b\u{85}\0".as_bytes()),
            "\n  café \\u{1b}[31m\\ta\\u{202e}b\\u{85}\\u{0}"
        );
        assert_eq!(shown(b"\xff"), "\n  \u{fffd}");
        let many: String = (0..100).fold(String::new(), |all, n| all + &n.to_string() + "\n");
        assert!(shown(many.as_bytes()).starts_with("\n  …\n  80\n"));
        assert!(shown(many.as_bytes()).ends_with("\n  99"));
        assert_eq!(shown("é".repeat(600).as_bytes()).chars().count(), 3 + 500 + 1);
    }
}
