//! A lexer for Tera's syntax, with positions. Tera hides its syntax tree and gives names without positions, so the text
//! inside `{{ }}` and `{% %}` is lexed again here by the same rules.
//!
//! The input must be valid for Tera; otherwise the tokens end early.

use std::ops::Range;

#[cfg(test)]
mod tests;

/// The kind of a token, as far as names need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{{`
    Output,
    /// `{%`
    Tag,
    /// `}}` or `%}`
    Close,
    /// A word.
    Ident,
    /// A quoted string; its text is without the quotes.
    Str,
    /// A number.
    Number,
    /// An operator or a bracket.
    Op,
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Its text.
    pub text: &'a str,
    /// Its byte range in the template, with quotes.
    pub span: Range<usize>,
}

impl Token<'_> {
    /// Whether it is this operator or bracket.
    pub fn is(&self, op: &str) -> bool {
        self.kind == Kind::Op && self.text == op
    }

    /// Whether it is this word.
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Ident && self.text == word
    }
}

/// Operators of two and three characters, the longest first, as in the lexer of Tera.
const LONG: [&str; 10] = ["...", "//", "**", "==", "!=", ">=", "<=", "</", "?.", "?["];

/// Returns all tokens. Text between tags, comments and raw blocks are skipped.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    lexed(text).out
}

/// Returns the byte ranges of all comments, with their delimiters.
pub fn comments(text: &str) -> Vec<Range<usize>> {
    lexed(text).comments
}

fn lexed(text: &str) -> Lexer<'_> {
    let mut lexer = Lexer { text, at: 0, out: Vec::new(), comments: Vec::new() };
    while lexer.next_tag().is_some() {}
    lexer
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    out: Vec<Token<'a>>,
    comments: Vec<Range<usize>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let span = self.at..self.at + length;
        self.out.push(Token { kind, text: &self.text[span.clone()], span });
        self.at += length;
    }

    /// Lexes the next tag or skips the next comment; `None` at the end of the text.
    fn next_tag(&mut self) -> Option<()> {
        let rest = self.rest();
        let (open, kind) = rest.match_indices('{').find_map(|(at, _)| match rest.as_bytes().get(at + 1)? {
            b'{' => Some((at, Some(Kind::Output))),
            b'%' => Some((at, Some(Kind::Tag))),
            b'#' => Some((at, None)),
            _ => None,
        })?;
        self.at += open;
        let Some(kind) = kind else {
            let start = self.at;
            self.at += self.rest().find("#}")? + 2;
            self.comments.push(start..self.at);
            return Some(());
        };
        if kind == Kind::Tag
            && let Some(after) = tag(self.rest(), "raw")
        {
            return self.raw(after);
        }
        self.push(kind, 2);
        // A `-` after the opening is whitespace control, not a minus.
        if self.rest().starts_with('-') {
            self.at += 1;
        }
        self.lex_until(if kind == Kind::Tag { "%}" } else { "}}" })
    }

    /// Skips a raw block whose body starts `after` bytes on.
    fn raw(&mut self, after: usize) -> Option<()> {
        self.at += after;
        loop {
            self.at += self.rest().find("{%")?;
            if let Some(after) = tag(self.rest(), "endraw") {
                self.at += after;
                return Some(());
            }
            self.at += 2;
        }
    }

    /// Lexes tokens up to and including the closing one.
    fn lex_until(&mut self, close: &str) -> Option<()> {
        loop {
            let blank = self.rest().bytes().take_while(u8::is_ascii_whitespace).count();
            self.at += blank;
            let rest = self.rest();
            if rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(close)) {
                self.at += 1;
                self.push(Kind::Close, 2);
                return Some(());
            }
            if rest.starts_with(close) {
                self.push(Kind::Close, 2);
                return Some(());
            }
            let first = rest.chars().next()?;
            if let Some(long) = LONG.iter().find(|long| rest.starts_with(**long)) {
                self.push(Kind::Op, long.len());
            } else if matches!(first, '\'' | '"' | '`') {
                self.string(first)?;
            } else if first.is_ascii_digit() {
                self.number();
            } else if first == '_' || first.is_ascii_alphabetic() {
                let length = rest.bytes().take_while(|b| *b == b'_' || b.is_ascii_alphanumeric()).count();
                self.push(Kind::Ident, length);
            } else {
                self.push(Kind::Op, first.len_utf8());
            }
        }
    }

    fn number(&mut self) {
        let mut dots = 0;
        let length = self
            .rest()
            .bytes()
            .take_while(|b| {
                dots += usize::from(*b == b'.');
                b.is_ascii_digit() || (*b == b'.' && dots == 1)
            })
            .count();
        self.push(Kind::Number, length);
    }

    fn string(&mut self, quote: char) -> Option<()> {
        let mut escaped = false;
        let end = self.rest().char_indices().skip(1).find_map(|(at, c)| {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == quote {
                return Some(at);
            }
            None
        })?;
        let start = self.at;
        self.out.push(Token {
            kind: Kind::Str,
            text: &self.text[start + 1..start + end],
            span: start..start + end + 1,
        });
        self.at += end + 1;
        Some(())
    }
}

/// The length of `{% name %}` at the start of `text`, with whitespace control.
fn tag(text: &str, name: &str) -> Option<usize> {
    let rest = text.strip_prefix("{%")?;
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace()).strip_prefix(name)?;
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let rest = rest.strip_prefix('-').unwrap_or(rest).strip_prefix("%}")?;
    Some(text.len() - rest.len())
}
