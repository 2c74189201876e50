//! Finds the names that a template uses: variables with their fields, filters, tests, functions, components and other
//! templates. Scopes are those of Tera: `for` and list comprehensions open one, `set` adds to the current one, a
//! component sees only its arguments.

use std::collections::BTreeSet;
use std::ops::Range;

use super::lex::{Kind, Token, tokens};
use super::uses::{Call, Component, Fragment, Ident, Scope, Uses, Variable};

#[cfg(test)]
mod tests;

impl Uses {
    /// Scans a template that Tera has accepted.
    pub fn of(text: &str) -> Self {
        let mut scanner = Scanner {
            tokens: tokens(text),
            scopes: vec![Scope::new()],
            blocks: Vec::new(),
            fragment: Fragment::default(),
            enclosing: None,
            out: Self::default(),
        };
        scanner.run();
        scanner.fragment.guard();
        scanner.out.body = scanner.fragment;
        scanner.out
    }
}

/// The innermost open block.
#[derive(PartialEq)]
enum Block {
    /// A `for`, with its names in scope.
    For,
    /// An `if` that asks for the port of `name` and nothing else. `from` and `other` are the positions of the variables in it
    /// and in its first `elif` or `else`.
    Port { name: String, from: usize, other: Option<usize> },
    /// Another `if`, or the `else` of a `for`.
    Other,
}

/// The state outside of a component definition, restored after it.
struct EnclosingFragment {
    component: (String, Vec<Ident>),
    scopes: Vec<Scope>,
    fragment: Fragment,
}

struct Scanner<'a> {
    tokens: Vec<Token<'a>>,
    scopes: Vec<Scope>,
    blocks: Vec<Block>,
    fragment: Fragment,
    enclosing: Option<EnclosingFragment>,
    out: Uses,
}

const LITERALS: [&str; 7] = ["true", "True", "false", "False", "none", "None", "null"];
const OPERATORS: [&str; 6] = ["and", "or", "not", "in", "if", "else"];

impl<'a> Scanner<'a> {
    fn run(&mut self) {
        let mut at = 0;
        while let Some(open) = self.tokens.get(at) {
            let is_tag = open.kind == Kind::Tag;
            let end = self.find(at..self.tokens.len(), |token| token.kind == Kind::Close);
            if is_tag {
                self.statement(at + 1, end);
            } else {
                self.expression(at + 1..end);
            }
            at = end + 1;
        }
    }

    fn token(&self, at: usize) -> Option<&Token<'a>> {
        self.tokens.get(at)
    }

    fn text(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    fn ident(&self, at: usize) -> Ident {
        let token = &self.tokens[at];
        Ident { text: token.text.to_owned(), span: token.span.clone() }
    }

    fn is(&self, at: usize, op: &str) -> bool {
        self.token(at).is_some_and(|token| token.is(op))
    }

    fn is_ident(&self, at: usize) -> bool {
        self.token(at).is_some_and(|token| token.kind == Kind::Ident)
    }

    /// The first matching token in a range; the end of the range if there is none.
    fn find(&self, range: Range<usize>, wanted: impl Fn(&Token<'_>) -> bool) -> usize {
        range.clone().find(|at| self.token(*at).is_some_and(&wanted)).unwrap_or(range.end)
    }

    /// Scans the tokens of a `{% … %}` from `at` to `end`.
    fn statement(&mut self, at: usize, end: usize) {
        match self.text(at) {
            "set" | "set_global" if self.is_ident(at + 1) => {
                let value = (if self.is(at + 2, "=") { at + 3 } else { at + 2 })..end;
                self.expression(value.clone());
                self.assign(at + 1, self.origin(value));
            }
            "for" => {
                let target = self.find(at + 1..end, |token| token.is_word("in"));
                let list = (target + 1).min(end)..end;
                self.expression(list.clone());
                self.push_scope(at + 1..target, self.origin(list).as_deref());
                self.blocks.push(Block::For);
            }
            "if" => {
                self.blocks.push(self.begin_if(at + 1..end));
                self.expression(at + 1..end);
            }
            "elif" => {
                self.begin_else();
                let block = self.begin_if(at + 1..end);
                if let Some(last) = self.blocks.last_mut().filter(|last| **last == Block::Other) {
                    *last = block;
                }
                self.expression(at + 1..end);
            }
            "else" => self.begin_else(),
            "endfor" | "endif" => self.end_block(),
            "filter" if self.is_ident(at + 1) => {
                let filter = self.ident(at + 1);
                self.out.filters.push(filter);
                self.expression(at + 2..end);
            }
            "include" if at + 1 < end => {
                let arguments = BTreeSet::new();
                let call = Call { ident: self.ident(at + 1), scope: self.visible_names(), arguments };
                self.fragment.includes.push(call);
            }
            "extends" if at + 1 < end => self.out.extends = Some(self.ident(at + 1)),
            "component" => self.begin_component(at + 1, end),
            "endcomponent" => self.end_component(),
            "<" => self.expression(at..end),
            // Other tags use no names: block, endblock, endset, endfilter, break, continue, </x>.
            _ => {}
        }
    }

    /// The names of a `for` are not in scope in its `else`.
    fn begin_else(&mut self) {
        if let Some(Block::Port { other, .. }) = self.blocks.last_mut() {
            other.get_or_insert(self.fragment.variables.len());
            return;
        }
        self.end_block();
        self.blocks.push(Block::Other);
    }

    fn end_block(&mut self) {
        match self.blocks.pop() {
            Some(Block::For) => _ = self.scopes.pop(),
            Some(Block::Port { name, from, other }) => self.fragment.end_port(&name, from, other),
            _ => {}
        }
    }

    fn assign(&mut self, at: usize, origin: Option<String>) {
        let name = self.text(at).to_owned();
        self.fragment.sets.insert(name.clone());
        self.fragment.locals.insert(name.clone());
        let global = self.text(at - 1) == "set_global";
        let scope = if global { self.scopes.first_mut() } else { self.scopes.last_mut() };
        if let Some(scope) = scope {
            scope.insert(name, origin);
        }
    }

    /// Opens a scope with the identifiers in a range.
    fn push_scope(&mut self, words: Range<usize>, origin: Option<&str>) {
        let origin = || origin.map(str::to_owned);
        let names = words.filter(|at| self.is_ident(*at)).map(|at| (self.text(at).to_owned(), origin()));
        let names: Scope = names.collect();
        self.fragment.locals.extend(names.keys().cloned());
        self.scopes.push(names);
    }

    fn visible_names(&self) -> Scope {
        self.scopes.iter().flatten().map(|(name, origin)| (name.clone(), origin.clone())).collect()
    }

    /// The name that the values of an expression come from, as far as it can be told: its first one, or that of the list
    /// of a comprehension.
    fn origin(&self, expression: Range<usize>) -> Option<String> {
        if self.is(expression.start, "{") {
            return None;
        }
        let is_list = self.is(expression.start, "[");
        let list = self.find(expression.clone(), |token| token.is_word("in"));
        let from = if is_list && list < expression.end { list + 1 } else { expression.start };
        let first = self.find(from..expression.end, |token| token.kind == Kind::Ident);
        (first < expression.end && !self.is(first + 1, "(")).then(|| self.origin_of(self.text(first)))?
    }

    /// The origin of a name: itself, if it is not local.
    fn origin_of(&self, name: &str) -> Option<String> {
        let local = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        local.map_or_else(|| Some(name.to_owned()), Clone::clone)
    }

    /// The block of an `if`. `m.port`, `not m.port` and `m.port and m.port != 80` ask for the port alone.
    fn begin_if(&self, mut condition: Range<usize>) -> Block {
        let first = condition.start + usize::from(self.text(condition.start) == "not");
        let name = self.text(first);
        let is_port = self.is_ident(first) && self.is(first + 1, ".") && self.text(first + 2) == "port";
        let is_asked = first + 3 == condition.end || self.text(first + 3) == "and";
        let words = [name, "port", "and", "not"];
        let is_alone = condition.all(|at| !self.is_ident(at) || words.contains(&self.text(at)));
        if is_port && is_asked && is_alone {
            return Block::Port { name: name.to_owned(), from: self.fragment.variables.len(), other: None };
        }
        Block::Other
    }

    /// The name of a component, which may contain dots, and the index of the next token.
    fn component_name(&self, at: usize) -> (Ident, usize) {
        let mut ident = self.ident(at);
        let mut next = at + 1;
        while self.is(next, ".") && self.is_ident(next + 1) {
            ident.text.push('.');
            ident.text.push_str(self.text(next + 1));
            ident.span.end = self.tokens[next + 1].span.end;
            next += 2;
        }
        (ident, next)
    }

    fn begin_component(&mut self, at: usize, end: usize) {
        if !self.is_ident(at) {
            return;
        }
        let (name, open) = self.component_name(at);
        let mut scope = Scope::from([("body".to_owned(), None)]);
        let mut implicit = Vec::new();
        let (mut depth, mut wanted) = (0, true);
        for at in open..end {
            let Some(token) = self.token(at) else { break };
            match (token.kind, token.text) {
                (Kind::Op, "(" | "[" | "{") => depth += 1,
                (Kind::Op, ")" | "]" | "}") => depth -= 1,
                (Kind::Op, ",") if depth == 1 => wanted = true,
                (Kind::Ident, _) if depth == 1 && wanted => {
                    wanted = false;
                    scope.insert(token.text.to_owned(), Some(token.text.to_owned()));
                    if self.is(at - 1, "@") {
                        implicit.push(self.ident(at));
                    }
                }
                _ => {}
            }
            if depth == 0 && token.is(")") {
                break;
            }
        }
        self.enclosing = Some(EnclosingFragment {
            component: (name.text, implicit),
            scopes: std::mem::replace(&mut self.scopes, vec![scope]),
            fragment: std::mem::take(&mut self.fragment),
        });
    }

    fn end_component(&mut self) {
        if let Some(enclosing) = self.enclosing.take() {
            let (name, implicit) = enclosing.component;
            let mut body = std::mem::replace(&mut self.fragment, enclosing.fragment);
            body.guard();
            self.scopes = enclosing.scopes;
            self.out.components.insert(name, Component { implicit, body });
        }
    }

    /// Scans an expression, or the inside of a tag with the same syntax.
    fn expression(&mut self, range: Range<usize>) {
        let mut at = range.start;
        // Whether a value precedes `at`. If so, `<` compares and `[` indexes; otherwise they open a component or a
        // list.
        let mut value = false;
        while at < range.end {
            let Some(token) = self.token(at).cloned() else { return };
            match token.kind {
                Kind::Ident => (at, value) = self.scan_ident(at),
                Kind::Op => (at, value) = self.scan_operator(at, value, range.end),
                _ => (at, value) = (at + 1, true),
            }
        }
    }

    /// Scans an identifier; returns the next index, and whether a value ends there.
    fn scan_ident(&mut self, at: usize) -> (usize, bool) {
        let text = self.text(at);
        if text == "is" {
            let at = if self.token(at + 1).is_some_and(|token| token.is_word("not")) { at + 2 } else { at + 1 };
            if self.is_ident(at) {
                let named = self.ident(at);
                self.out.tests.push(named);
            }
            return (at + 1, true);
        }
        if OPERATORS.contains(&text) {
            return (at + 1, false);
        }
        if LITERALS.contains(&text) {
            return (at + 1, true);
        }
        if self.is(at + 1, "=") {
            // The name of an argument.
            return (at + 2, false);
        }
        if self.is(at + 1, "(") {
            let ident = self.ident(at);
            self.out.functions.push(ident);
            return (at + 1, false);
        }
        (self.scan_variable(at), true)
    }

    /// Scans a variable and its fields; returns the next index.
    fn scan_variable(&mut self, at: usize) -> usize {
        let ident = self.ident(at);
        let (mut fields, mut guarded, mut next) = (Vec::new(), false, at + 1);
        loop {
            if (self.is(next, ".") || self.is(next, "?.")) && self.is_ident(next + 1) {
                guarded |= self.is(next, "?.");
                fields.push(self.ident(next + 1));
                next += 2;
            } else if self.is(next, "[")
                && self.token(next + 1).is_some_and(|token| token.kind == Kind::Str)
                && self.is(next + 2, "]")
            {
                fields.push(self.ident(next + 1));
                next += 3;
            } else {
                break;
            }
        }
        let next_token = self.skip_parentheses(at, next);
        let test = if self.text(next_token + 1) == "not" { next_token + 2 } else { next_token + 1 };
        let tested = self.text(next_token) == "is" && matches!(self.text(test), "defined" | "undefined");
        guarded |= tested || (self.is(next_token, "|") && self.text(next_token + 1) == "default");
        let in_loop = ident.text == "loop" && self.blocks.contains(&Block::For);
        let local = in_loop || self.scopes.iter().any(|scope| scope.contains_key(&ident.text));
        let origin = self.origin_of(&ident.text);
        self.fragment.variables.push(Variable { ident, fields, local, guarded, tested, origin });
        next
    }

    /// Returns the index after the parentheses that enclose only the tokens from `first` to before `next`.
    fn skip_parentheses(&self, first: usize, mut next: usize) -> usize {
        let mut open = first.saturating_sub(1);
        let calls = |ident: usize| {
            let name = self.text(ident);
            self.is_ident(ident) && !OPERATORS.contains(&name) && name != "elif"
        };
        while self.is(open, "(") && self.is(next, ")") && !calls(open.saturating_sub(1)) {
            (open, next) = (open.saturating_sub(1), next + 1);
        }
        next
    }

    /// Scans an operator or a bracket; returns the next index, and whether a value ends there.
    fn scan_operator(&mut self, at: usize, value: bool, end: usize) -> (usize, bool) {
        match self.text(at) {
            "|" if self.is_ident(at + 1) => {
                let ident = self.ident(at + 1);
                self.out.filters.push(ident);
                (at + 2, true)
            }
            "<" if !value && self.is_ident(at + 1) => {
                let (ident, next) = self.component_name(at + 1);
                let names = (next..end).filter(|at| self.is_ident(*at) && !self.is(at + 1, "="));
                let arguments = names.filter_map(|at| self.origin_of(self.text(at))).collect();
                let call = Call { ident, scope: self.visible_names(), arguments };
                self.fragment.calls.push(call);
                (next, false)
            }
            "[" if !value => self.comprehension(at, end).map_or((at + 1, false), |next| (next, true)),
            // A field of a value that is not a plain variable: `web[0].host`.
            "." | "?." if self.is_ident(at + 1) => (at + 2, true),
            ")" | "]" | "}" => (at + 1, true),
            _ => (at + 1, false),
        }
    }

    /// Scans `[each for name in list if condition]` from its `[`; returns the next index, or `None` for a plain list.
    fn comprehension(&mut self, open: usize, end: usize) -> Option<usize> {
        let mut depth = 0;
        let (mut each_end, mut target, mut condition, mut close) = (None, None, None, None);
        for at in open..end {
            let token = self.token(at)?;
            match (token.kind, token.text) {
                (Kind::Op, "[" | "(" | "{" | "?[") => depth += 1,
                (Kind::Op, "]" | ")" | "}") => depth -= 1,
                (Kind::Ident, "for") if depth == 1 => each_end = each_end.or(Some(at)),
                (Kind::Ident, "in") if depth == 1 && each_end.is_some() => target = target.or(Some(at + 1)),
                (Kind::Ident, "if") if depth == 1 && target.is_some() => condition = condition.or(Some(at + 1)),
                _ => {}
            }
            if depth == 0 {
                close = Some(at);
                break;
            }
        }
        let (each_end, target, close) = (each_end?, target?, close?);
        self.expression(target..condition.map_or(close, |at| at - 1));
        self.push_scope(each_end + 1..target - 1, self.origin(target..close).as_deref());
        self.expression(open + 1..each_end);
        if let Some(condition) = condition {
            self.expression(condition..close);
        }
        self.scopes.pop();
        Some(close + 1)
    }
}
