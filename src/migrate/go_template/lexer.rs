//! Text and actions, and the tokens of an action.

use super::SyntaxError;
use super::ast::Tag;

/// A part of a template before it is parsed.
pub enum Segment {
    /// Text.
    Text(String),
    /// A comment.
    Comment(Tag, String),
    /// An action, and its tokens.
    Action(Tag, Vec<Token>),
}

/// A token with what is before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Whether white space is before it.
    pub spaced: bool,
    /// The line.
    pub line: usize,
    /// The kind.
    pub kind: Kind,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or the name of a function.
    Word(String),
    /// `$name`, without the `$`.
    Variable(String),
    /// `.name`, without the dot.
    Field(String),
    /// `.`.
    Dot,
    /// A number as written.
    Number(String),
    /// A string or a character constant, decoded.
    Text(String),
    /// `|`, `:=`, `=`, `,`, `(` or `)`.
    Sign(&'static str),
}

const SIGNS: [&str; 6] = [":=", "|", "=", ",", "(", ")"];

/// Splits a template into text and actions.
pub fn segments(source: &str, delimiters: (&str, &str)) -> Result<Vec<Segment>, SyntaxError> {
    let (left, right) = delimiters;
    let (mut segments, mut rest, mut line) = (Vec::new(), source, 1);
    while let Some(at) = rest.find(left) {
        push_text(&mut segments, &rest[..at]);
        line += lines(&rest[..at]);
        rest = &rest[at..];
        let mut lexer = Lexer { source: rest, at: left.len(), line, right };
        let segment = lexer.action()?;
        line = lexer.line;
        rest = &rest[lexer.at..];
        segments.push(segment);
    }
    push_text(&mut segments, rest);
    Ok(segments)
}

fn push_text(segments: &mut Vec<Segment>, text: &str) {
    if !text.is_empty() {
        segments.push(Segment::Text(text.to_owned()));
    }
}

fn lines(text: &str) -> usize {
    text.matches('\n').count()
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

struct Lexer<'a> {
    /// The rest of the template, from the left delimiter on.
    source: &'a str,
    at: usize,
    line: usize,
    right: &'a str,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn advance(&mut self, bytes: usize) {
        self.line += lines(&self.source[self.at..self.at + bytes]);
        self.at += bytes;
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError::new(self.line, message))
    }

    /// The action at the start of the source.
    fn action(&mut self) -> Result<Segment, SyntaxError> {
        let line = self.line;
        let trim_left = self.rest().strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACE));
        if trim_left {
            self.advance(2);
        }
        let comment = self.rest().trim_start_matches(SPACE);
        if comment.starts_with("/*") {
            let skipped = self.rest().len() - comment.len();
            self.advance(skipped);
            return self.comment(line, trim_left);
        }
        let mut tokens = Vec::new();
        loop {
            let before = self.at;
            let space = self.rest().len() - self.rest().trim_start_matches(SPACE).len();
            self.advance(space);
            if let Some(trim_right) = self.end(before != self.at) {
                return Ok(Segment::Action(self.tag(line, trim_left, trim_right), tokens));
            }
            let token = Token { spaced: before != self.at, line: self.line, kind: self.token()? };
            tokens.push(token);
        }
    }

    /// Moves behind the right delimiter, if it is here. Returns whether it has a trim mark.
    fn end(&mut self, spaced: bool) -> Option<bool> {
        let trims = spaced && self.rest().strip_prefix('-').is_some_and(|rest| rest.starts_with(self.right));
        if !trims && !self.rest().starts_with(self.right) {
            return None;
        }
        self.advance(self.right.len() + usize::from(trims));
        Some(trims)
    }

    fn tag(&self, line: usize, trim_left: bool, trim_right: bool) -> Tag {
        Tag { source: self.source[..self.at].to_owned(), line, trim_left, trim_right }
    }

    fn comment(&mut self, line: usize, trim_left: bool) -> Result<Segment, SyntaxError> {
        let Some((text, _)) = self.rest()[2..].split_once("*/") else { return self.error("a comment is not closed") };
        let text = text.to_owned();
        self.advance(text.len() + 4);
        let spaced = self.rest().len() - self.rest().trim_start_matches(SPACE).len();
        self.advance(spaced);
        match self.end(spaced > 0) {
            Some(trim_right) => Ok(Segment::Comment(self.tag(line, trim_left, trim_right), text)),
            None => self.error("a comment is not alone in its braces"),
        }
    }

    fn token(&mut self) -> Result<Kind, SyntaxError> {
        let Some(first) = self.rest().chars().next() else { return self.error("an action is not closed") };
        let after = self.rest()[first.len_utf8()..].chars().next();
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        Ok(match first {
            '"' | '\'' => Kind::Text(self.quoted(first)?),
            '`' => {
                let Some((text, _)) = self.rest()[1..].split_once('`') else {
                    return self.error("a string is not closed");
                };
                // As Go does in its own source.
                let (bytes, text) = (text.len() + 2, text.replace('\r', ""));
                self.advance(bytes);
                Kind::Text(text)
            }
            '$' => {
                self.advance(1);
                Kind::Variable(self.word())
            }
            '.' if !digit(after) => {
                self.advance(1);
                let name = self.word();
                if name.is_empty() { Kind::Dot } else { Kind::Field(name) }
            }
            '0'..='9' | '.' => Kind::Number(self.number()),
            '+' | '-' if digit(after) || after == Some('.') => Kind::Number(self.number()),
            c if is_word(c) => Kind::Word(self.word()),
            c => match SIGNS.into_iter().find(|sign| self.rest().starts_with(sign)) {
                Some(sign) => {
                    self.advance(sign.len());
                    Kind::Sign(sign)
                }
                None => return self.error(format!("unexpected {c:?} in an action")),
            },
        })
    }

    fn word(&mut self) -> String {
        let rest = self.rest();
        let word = rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())].to_owned();
        self.advance(word.len());
        word
    }

    /// A number with its sign: digits, letters, `_` and dots, and a sign after an exponent.
    fn number(&mut self) -> String {
        let mut text = String::new();
        for c in self.rest().chars() {
            let signs = ['+', '-'].contains(&c) && (text.is_empty() || text.ends_with(['e', 'E', 'p', 'P']));
            if !(c.is_ascii_alphanumeric() || c == '_' || c == '.' || signs) {
                break;
            }
            text.push(c);
        }
        self.advance(text.len());
        text
    }

    /// A string in double quotes, or a character in single quotes.
    fn quoted(&mut self, quote: char) -> Result<String, SyntaxError> {
        self.advance(1);
        let mut text = String::new();
        loop {
            let Some(c) = self.rest().chars().next().filter(|c| *c != '\n') else {
                return self.error("a string is not closed");
            };
            self.advance(c.len_utf8());
            match c {
                c if c == quote => return Ok(text),
                '\\' => text.push(self.escape()?),
                c => text.push(c),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, SyntaxError> {
        let Some(c) = self.rest().chars().next() else { return self.error("a string is not closed") };
        let (skip, digits, radix) = match c {
            'x' => (1, 2, 16),
            'u' => (1, 4, 16),
            'U' => (1, 8, 16),
            '0'..='7' => (0, 3, 8),
            _ => {
                let plain = ['a', 'b', 'f', 'n', 'r', 't', 'v', '\\', '\'', '"'];
                let meaning = ['\u{7}', '\u{8}', '\u{c}', '\n', '\r', '\t', '\u{b}', '\\', '\'', '"'];
                let Some(at) = plain.iter().position(|known| *known == c) else {
                    return self.error(format!("unknown escape \\{c}"));
                };
                self.advance(1);
                return Ok(meaning[at]);
            }
        };
        let code = self.rest().get(skip..skip + digits).and_then(|text| u32::from_str_radix(text, radix).ok());
        // A byte that is no character by itself cannot be in a string of Tera.
        let c = code.filter(|code| digits > 3 || *code < 128).and_then(char::from_u32);
        let Some(c) = c else { return self.error("an escape in a string is not a character") };
        self.advance(skip + digits);
        Ok(c)
    }
}
