//! The end of a command's output: bounded in memory, and harmless on a terminal and in a log.

use std::collections::VecDeque;
use std::fmt::Write;

#[cfg(test)]
mod tests;

/// The maximum number of bytes kept of a command's output.
pub const MAX_OUTPUT: usize = 64 * 1024;
/// How many lines of it a message shows, and how much of each.
const SHOWN_LINES: usize = 20;
const SHOWN_WIDTH: usize = 500;

/// The last [`MAX_OUTPUT`] bytes of a command's standard output and standard error together, in the order written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputTail {
    bytes: VecDeque<u8>,
    dropped: u64,
}

impl OutputTail {
    /// Appends output, and drops the oldest beyond [`MAX_OUTPUT`].
    pub fn push(&mut self, chunk: &[u8]) {
        let fits = chunk.len().min(MAX_OUTPUT);
        let (skipped, kept) = chunk.split_at(chunk.len() - fits);
        let over = (self.bytes.len() + kept.len()).saturating_sub(MAX_OUTPUT);
        self.bytes.drain(..over);
        self.bytes.extend(kept);
        self.dropped += (over + skipped.len()) as u64;
    }

    /// The bytes that were kept.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.iter().copied().collect()
    }

    /// How many bytes before that were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The last lines, each on an indented line of its own; empty without output.
    pub fn last_lines(&self) -> String {
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

/// Escapes every character that could control a terminal or make one line look like two.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Line and paragraph separators, and the marks that change the direction of text.
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
