//! The parser.

use std::collections::{BTreeMap, VecDeque};

use super::ast::{Control, Expr, Keyword, Node, Pipe, Tag};
use super::lexer::{Kind, Segment, Token, segments};
use super::{MAX_DEPTH, SyntaxError};

/// A parsed template.
#[derive(Debug, Default)]
pub struct Template {
    /// What it prints.
    pub nodes: Vec<Node>,
    /// What it defines with `define` and `block`.
    pub defined: BTreeMap<String, Vec<Node>>,
}

/// Parses a template. `delimiters` are `{{` and `}}` unless configured otherwise.
///
/// # Errors
/// The first place that is not Go's syntax, or that is nested too deeply.
pub fn parse(source: &str, delimiters: (&str, &str)) -> Result<Template, SyntaxError> {
    let segments = segments(source, delimiters)?.into();
    let mut parser = Parser { segments, defined: BTreeMap::new(), depth: 0, loops: 0 };
    match parser.list()? {
        (nodes, None) => Ok(Template { nodes, defined: parser.defined }),
        (_, Some(Stop { tag, .. })) => Err(SyntaxError::new(tag.line, format!("{} without a block", tag.source))),
    }
}

struct Parser {
    segments: VecDeque<Segment>,
    defined: BTreeMap<String, Vec<Node>>,
    depth: usize,
    /// How many loops are around the current action.
    loops: usize,
}

/// What ends a list of nodes: `end`, or `else` with the rest of its action.
struct Stop {
    tag: Tag,
    /// `None` for `end`.
    otherwise: Option<Action>,
}

impl Parser {
    /// The nodes up to the next `end` or `else`, or to the end of the text.
    fn list(&mut self) -> Result<(Vec<Node>, Option<Stop>), SyntaxError> {
        let mut nodes = Vec::new();
        while let Some(segment) = self.segments.pop_front() {
            match segment {
                Segment::Text(text) => nodes.push(Node::Text(text)),
                Segment::Comment(tag, text) => nodes.push(Node::Comment(tag, text)),
                Segment::Action(tag, tokens) => {
                    let mut action = Action { tokens: tokens.into(), line: tag.line, depth: self.depth };
                    let stop = match action.word().as_deref() {
                        Some("end") => Some(Stop { tag: tag.clone(), otherwise: None }),
                        Some("else") => Some(Stop { tag: tag.clone(), otherwise: Some(action.rest()) }),
                        _ => None,
                    };
                    if let Some(stop) = stop {
                        if stop.otherwise.is_none() {
                            action.rest().finish()?;
                        }
                        return Ok((nodes, Some(stop)));
                    }
                    nodes.push(self.action(tag, action)?);
                }
            }
        }
        Ok((nodes, None))
    }

    fn action(&mut self, tag: Tag, mut action: Action) -> Result<Node, SyntaxError> {
        let word = action.word().unwrap_or_default();
        match word.as_str() {
            "if" => self.control(tag, Keyword::If, action.rest()),
            "with" => self.control(tag, Keyword::With, action.rest()),
            "range" => self.control(tag, Keyword::Range, action.rest()),
            "break" | "continue" if action.tokens.len() == 1 && self.loops == 0 => {
                Err(SyntaxError::new(tag.line, format!("{} outside of range", tag.source)))
            }
            "break" | "continue" if action.tokens.len() == 1 => {
                Ok(if word == "break" { Node::Break(tag) } else { Node::Continue(tag) })
            }
            "define" | "block" | "template" => self.named(tag, &word, action.rest()),
            _ => {
                let pipe = action.pipe()?;
                action.finish()?;
                Ok(Node::Action(tag, pipe))
            }
        }
    }

    fn control(&mut self, tag: Tag, keyword: Keyword, mut action: Action) -> Result<Node, SyntaxError> {
        let mut control = head(tag, keyword, &mut action)?;
        self.body(&mut control)?;
        Ok(Node::Control(Box::new(control)))
    }

    /// Reads what a control structure contains, up to its `end`.
    fn body(&mut self, control: &mut Control) -> Result<(), SyntaxError> {
        let line = control.tag.line;
        self.enter(line)?;
        let is_loop = usize::from(control.keyword == Keyword::Range);
        self.loops += is_loop;
        let (body, stop) = self.list()?;
        self.loops -= is_loop;
        control.body = body;
        let stop = stop.ok_or_else(|| SyntaxError::new(line, format!("{} has no end", control.tag.source)))?;
        match stop.otherwise {
            None => control.end = stop.tag,
            Some(action) if action.tokens.is_empty() => {
                let (body, last) = self.list()?;
                control.otherwise = Some((stop.tag, body));
                match last {
                    Some(Stop { tag, otherwise: None }) => control.end = tag,
                    Some(Stop { tag, .. }) => return Err(SyntaxError::new(tag.line, "a second else")),
                    None => return Err(SyntaxError::new(line, format!("{} has no end", control.tag.source))),
                }
            }
            Some(mut action) => {
                let keyword = match (action.word().as_deref(), control.keyword) {
                    (Some("if"), Keyword::If) => Keyword::If,
                    (Some("with"), Keyword::With) => Keyword::With,
                    _ => return Err(SyntaxError::new(stop.tag.line, format!("unexpected {}", stop.tag.source))),
                };
                let mut chained = head(stop.tag.clone(), keyword, &mut action.rest())?;
                self.body(&mut chained)?;
                control.end.clone_from(&chained.end);
                control.otherwise = Some((stop.tag, vec![Node::Control(Box::new(chained))]));
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn enter(&mut self, line: usize) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(SyntaxError::new(line, format!("blocks are nested more than {MAX_DEPTH} deep")));
        }
        Ok(())
    }

    /// `define`, `block` and `template`.
    fn named(&mut self, tag: Tag, word: &str, mut action: Action) -> Result<Node, SyntaxError> {
        let Some(Kind::Text(name)) = action.tokens.pop_front().map(|token| token.kind) else {
            return Err(SyntaxError::new(tag.line, format!("{word} without a name in quotes")));
        };
        let argument = if action.tokens.is_empty() { None } else { Some(action.pipe()?) };
        action.finish()?;
        if word == "template" {
            return Ok(Node::Call(tag, name, argument));
        }
        self.enter(tag.line)?;
        let loops = std::mem::take(&mut self.loops);
        let (body, stop) = self.list()?;
        self.loops = loops;
        self.depth -= 1;
        if !matches!(stop, Some(Stop { otherwise: None, .. })) {
            return Err(SyntaxError::new(tag.line, format!("{} has no end", tag.source)));
        }
        if word == "define" {
            self.defined.insert(name, body);
            return Ok(Node::Define(Tag { trim_right: stop.is_some_and(|stop| stop.tag.trim_right), ..tag }));
        }
        self.defined.entry(name.clone()).or_insert(body);
        Ok(Node::Call(Tag { trim_right: stop.is_some_and(|stop| stop.tag.trim_right), ..tag }, name, argument))
    }
}

/// A control structure without what it contains.
fn head(tag: Tag, keyword: Keyword, action: &mut Action) -> Result<Control, SyntaxError> {
    let pipe = action.pipe()?;
    std::mem::take(action).finish()?;
    let most = if keyword == Keyword::Range { 2 } else { 1 };
    if pipe.variables.len() > most {
        return Err(SyntaxError::new(tag.line, "too many variables"));
    }
    Ok(Control { tag, keyword, pipe, body: Vec::new(), otherwise: None, end: Tag::default() })
}

/// The tokens of an action that are left.
#[derive(Default)]
struct Action {
    tokens: VecDeque<Token>,
    line: usize,
    depth: usize,
}

impl Action {
    fn kind(&self) -> Option<&Kind> {
        self.tokens.front().map(|token| &token.kind)
    }

    /// The first token, if it is a word.
    fn word(&self) -> Option<String> {
        match self.kind() {
            Some(Kind::Word(word)) => Some(word.clone()),
            _ => None,
        }
    }

    /// What follows the first token.
    fn rest(&mut self) -> Self {
        let mut rest = std::mem::take(self);
        rest.tokens.pop_front();
        rest
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.kind(), Some(Kind::Sign(found)) if *found == sign);
        if found {
            self.tokens.pop_front();
        }
        found
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.tokens.front().map_or(self.line, |token| token.line), message)
    }

    fn finish(self) -> Result<(), SyntaxError> {
        if self.tokens.is_empty() { Ok(()) } else { Err(self.error("unexpected text at the end of an action")) }
    }

    /// A pipeline up to `)` or the end of the action.
    fn pipe(&mut self) -> Result<Pipe, SyntaxError> {
        let mut pipe = self.declaration();
        loop {
            let command = self.command()?;
            if command.is_empty() {
                return Err(self.error("a value is missing"));
            }
            pipe.commands.push(command);
            if !self.sign("|") {
                return Ok(pipe);
            }
        }
    }

    /// `$x :=`, `$x, $y :=` or `$x =`.
    fn declaration(&mut self) -> Pipe {
        let kind = |at: usize| self.tokens.get(at).map(|token| &token.kind);
        let variable = |at: usize| match kind(at) {
            Some(Kind::Variable(name)) => Some(name.clone()),
            _ => None,
        };
        let sign = |at: usize| match kind(at) {
            Some(Kind::Sign(sign)) => *sign,
            _ => "",
        };
        let (variables, used) = match (variable(0), sign(1), variable(2), sign(3)) {
            (Some(first), ",", Some(second), ":=" | "=") => (vec![first, second], 4),
            (Some(first), ":=" | "=", ..) => (vec![first], 2),
            _ => return Pipe::default(),
        };
        let is_assignment = sign(used - 1) == "=";
        self.tokens.drain(..used);
        Pipe { variables, is_assignment, commands: Vec::new() }
    }

    fn command(&mut self) -> Result<Vec<Expr>, SyntaxError> {
        let mut operands = Vec::new();
        while let Some(token) = self.tokens.front() {
            if matches!(token.kind, Kind::Sign("|" | ")")) {
                break;
            }
            if !operands.is_empty() && !token.spaced {
                return Err(self.error("a space is missing between two values"));
            }
            let operand = self.operand()?;
            operands.push(operand);
        }
        Ok(operands)
    }

    fn operand(&mut self) -> Result<Expr, SyntaxError> {
        let wrong = self.error("unexpected text in an action");
        let token = self.tokens.pop_front().ok_or_else(|| wrong.clone())?;
        let base = match token.kind {
            Kind::Word(word) => match word.as_str() {
                "true" => Expr::Bool(true),
                "false" => Expr::Bool(false),
                "nil" => Expr::Nil,
                _ => Expr::Function(word),
            },
            Kind::Variable(name) => Expr::Variable(name),
            Kind::Field(name) => Expr::Field(Box::new(Expr::Dot), vec![name]),
            Kind::Dot => Expr::Dot,
            Kind::Number(text) => Expr::Number(text),
            Kind::Text(text) => Expr::Text(text),
            Kind::Sign("(") => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(SyntaxError::new(
                        token.line,
                        format!("parentheses are nested more than {MAX_DEPTH} deep"),
                    ));
                }
                let pipe = self.pipe()?;
                self.depth -= 1;
                if !self.sign(")") {
                    return Err(self.error("a parenthesis is not closed"));
                }
                Expr::Pipe(Box::new(pipe))
            }
            Kind::Sign(_) => return Err(wrong),
        };
        Ok(self.fields(base))
    }

    /// The fields that follow an operand directly.
    fn fields(&mut self, base: Expr) -> Expr {
        let mut names = Vec::new();
        while let Some(Token { spaced: false, kind: Kind::Field(name), .. }) = self.tokens.front() {
            names.push(name.clone());
            self.tokens.pop_front();
        }
        match base {
            base if names.is_empty() => base,
            Expr::Field(base, first) => Expr::Field(base, [first, names].concat()),
            base => Expr::Field(Box::new(base), names),
        }
    }
}
