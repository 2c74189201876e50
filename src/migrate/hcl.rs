//! The configuration language of consul-template: HCL 1, or JSON. HCL 2, which libraries read, takes `${` in a string
//! for an expression and refuses some of what HCL 1 allows.

/// A value with the line where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The line, from 1.
    pub line: usize,
    /// The content.
    pub kind: Kind,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A string, also of a here-document.
    Text(String),
    /// A number as written.
    Number(String),
    /// `true` or `false`.
    Bool(bool),
    /// A list.
    List(Vec<Value>),
    /// An object; a key may appear several times.
    Object(Vec<(String, Value)>),
}

/// How deeply values may be nested.
const MAX_DEPTH: usize = 50;

impl Value {
    /// Every object of a key: blocks that repeat, or a list of objects.
    pub fn blocks<'v>(&'v self, key: &str) -> Vec<&'v Value> {
        let mut found = Vec::new();
        for (_, value) in self.entries().iter().filter(|(name, _)| name == key) {
            match &value.kind {
                Kind::List(list) => found.extend(list),
                _ => found.push(value),
            }
        }
        found
    }

    /// The object, also if it is the only one of a list.
    pub fn object(&self) -> &Value {
        match &self.kind {
            Kind::List(list) if list.len() == 1 => &list[0],
            _ => self,
        }
    }

    /// The last value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries().iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text of a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.kind {
            Kind::Text(text) | Kind::Number(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of an object.
    pub fn entries(&self) -> &[(String, Value)] {
        match &self.kind {
            Kind::Object(entries) => entries,
            _ => &[],
        }
    }
}

/// Parses a file.
///
/// # Errors
/// The line and what is wrong.
pub fn parse(text: &str) -> Result<Value, (usize, String)> {
    let mut parser = Parser { rest: text, line: 1, depth: 0 };
    parser.space()?;
    if parser.sign('{') {
        let object = parser.object(Some('}'))?;
        parser.space()?;
        return if parser.rest.is_empty() { Ok(object) } else { parser.error("unexpected text after the last }") };
    }
    parser.object(None)
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn error<T>(&self, message: &str) -> Result<T, (usize, String)> {
        Err((self.line, message.to_owned()))
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// Skips white space and comments.
    fn space(&mut self) -> Result<(), (usize, String)> {
        loop {
            let space = self.rest.len() - self.rest.trim_start().len();
            self.take(space);
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                let Some(end) = self.rest.find("*/") else { return self.error("a comment is not closed") };
                self.take(end + 2);
            } else {
                return Ok(());
            }
        }
    }

    fn sign(&mut self, sign: char) -> bool {
        let found = self.rest.starts_with(sign);
        if found {
            self.take(sign.len_utf8());
        }
        found
    }

    fn enter(&mut self) -> Result<(), (usize, String)> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.error("values are nested too deeply") } else { Ok(()) }
    }

    /// Entries up to `end`, or to the end of the text.
    fn object(&mut self, end: Option<char>) -> Result<Value, (usize, String)> {
        self.enter()?;
        let line = self.line;
        let mut entries = Vec::new();
        loop {
            self.space()?;
            match end {
                Some(end) if self.sign(end) => break,
                None if self.rest.is_empty() => break,
                _ if self.sign(',') => {}
                _ => entries.push(self.entry()?),
            }
        }
        self.depth -= 1;
        Ok(Value { line, kind: Kind::Object(entries) })
    }

    /// `key = value`, `"key": value`, or `key "label" { … }`, which is an object in an object.
    fn entry(&mut self) -> Result<(String, Value), (usize, String)> {
        let key = self.key()?;
        self.space()?;
        if self.sign('=') || self.sign(':') {
            self.space()?;
            return Ok((key, self.value()?));
        }
        let line = self.line;
        if self.sign('{') {
            return Ok((key, Value { line, ..self.object(Some('}'))? }));
        }
        if !self.rest.starts_with('"') {
            return self.error(&format!("a value is missing after {key}"));
        }
        self.enter()?;
        let inner = self.entry()?;
        self.depth -= 1;
        Ok((key, Value { line, kind: Kind::Object(vec![inner]) }))
    }

    fn key(&mut self) -> Result<String, (usize, String)> {
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let word = self.word();
        if word.is_empty() { self.error("a key is missing") } else { Ok(word) }
    }

    /// Letters, digits, `_`, `-`, `.` and `+`.
    fn word(&mut self) -> String {
        let is_word = |c: char| c.is_alphanumeric() || "_-.+".contains(c);
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        self.take(end).to_owned()
    }

    fn value(&mut self) -> Result<Value, (usize, String)> {
        let line = self.line;
        let kind = if self.rest.starts_with('"') {
            Kind::Text(self.quoted()?)
        } else if self.rest.starts_with("<<") {
            Kind::Text(self.heredoc()?)
        } else if self.sign('{') {
            self.object(Some('}'))?.kind
        } else if self.sign('[') {
            Kind::List(self.list()?)
        } else {
            match self.word() {
                word if word == "true" || word == "false" => Kind::Bool(word == "true"),
                word if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => Kind::Number(word),
                word if word == "null" => Kind::Object(Vec::new()),
                _ => return self.error("a value is missing"),
            }
        };
        Ok(Value { line, kind })
    }

    fn list(&mut self) -> Result<Vec<Value>, (usize, String)> {
        self.enter()?;
        let mut list = Vec::new();
        loop {
            self.space()?;
            if self.sign(']') {
                self.depth -= 1;
                return Ok(list);
            }
            if !self.sign(',') {
                list.push(self.value()?);
            }
        }
    }

    fn quoted(&mut self) -> Result<String, (usize, String)> {
        self.take(1);
        let mut text = String::new();
        loop {
            let Some(c) = self.rest.chars().next() else { return self.error("a string is not closed") };
            self.take(c.len_utf8());
            match c {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, (usize, String)> {
        let Some(c) = self.rest.chars().next() else { return self.error("a string is not closed") };
        self.take(c.len_utf8());
        Ok(match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            '"' | '\\' | '/' => c,
            'u' => {
                let unit = self.unit()?;
                // JSON writes a character beyond the first 65536 as two units.
                let code = if (0xd800..0xdc00).contains(&unit) && self.rest.starts_with("\\u") {
                    self.take(2);
                    0x1_0000 + ((unit - 0xd800) << 10) + (self.unit()? & 0x3ff)
                } else {
                    unit
                };
                char::from_u32(code).ok_or((self.line, "an escape is not a character".to_owned()))?
            }
            _ => return self.error(&format!("unknown escape \\{c}")),
        })
    }

    fn unit(&mut self) -> Result<u32, (usize, String)> {
        let digits = self.rest.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(unit) = digits else { return self.error("an escape is not a character") };
        self.take(4);
        Ok(unit)
    }

    /// `<<EOF`, or `<<-EOF`, which removes the indentation of the last line from all.
    fn heredoc(&mut self) -> Result<String, (usize, String)> {
        self.take(2);
        let indented = self.sign('-');
        let Some((mark, _)) = self.rest.split_once('\n') else { return self.error("a here-document is not closed") };
        self.take(mark.len() + 1);
        let mark = mark.trim();
        let mut lines: Vec<&str> = Vec::new();
        loop {
            if self.rest.is_empty() {
                return self.error("a here-document is not closed");
            }
            let length = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
            let line = self.take(length);
            if line.trim() == mark {
                let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
                let fits = |line: &&str| {
                    line.trim().is_empty() || line.len() - line.trim_start_matches([' ', '\t']).len() >= indent
                };
                let strips = indented && lines.iter().all(fits);
                let stripped = lines.iter().map(|line| if strips { line.get(indent..).unwrap_or("\n") } else { line });
                return Ok(stripped.collect());
            }
            lines.push(line);
        }
    }
}
