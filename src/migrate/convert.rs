//! Converts a parsed Go template to Tera. The layout stays: each action becomes a tag at its place, with its trim marks.

use std::collections::{BTreeMap, BTreeSet};

use super::go_template::ast::{Expr, Node, Pipe, Tag};
use super::go_template::parse;
use super::report::Report;
use super::site::Site;

mod blocks;
mod calls;
mod consul;
mod fields;
mod paths;
mod pipeline;
mod printf;
mod scan;
mod value;

use value::{Kind, Value};

/// The functions that templates have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Those of confd.
    Confd,
    /// Those of consul-template.
    ConsulTemplate,
}

/// A template, and where it is from.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The language.
    pub dialect: Dialect,
    /// The path above the paths in it.
    pub prefix: String,
    /// The path above services.
    pub services: String,
    /// Its name in the report.
    pub file: &'a str,
    /// What begins and ends an action.
    pub delimiters: (&'a str, &'a str),
}

/// The largest result; templates that call each other can grow without bound.
const MAX_OUTPUT: usize = 4 << 20;

/// How deeply `template` is followed.
const MAX_CALLS: usize = 10;

/// The name of the mark of what is not converted.
const MARK: &str = "rosterd migrate";

/// Converts a template. What it reads is added to `site`, and what a person has to do to `report`.
pub fn convert(source: &str, context: &Context<'_>, site: &mut Site, report: &mut Report) -> String {
    let before = report.todo.len();
    let template = match parse(source, context.delimiters) {
        Ok(template) => template,
        Err(wrong) => {
            report.todo(
                context.file,
                wrong.line,
                format!("the template is not converted, because it has an error: {wrong}"),
            );
            return format!("{}{}\n", stop(1), comment(source));
        }
    };
    let mut converter = Converter {
        context,
        site,
        report,
        defined: template.defined,
        optional: BTreeSet::new(),
        assigned: BTreeSet::new(),
        scope: Vec::new(),
        names: BTreeSet::new(),
        dot: Value::atom("", Kind::Root),
        prelude: Vec::new(),
        fresh: None,
        keyed: false,
        calls: 0,
        line: 1,
        out: String::new(),
    };
    let lists = std::iter::once(&template.nodes).chain(converter.defined.values());
    let (optional, assigned) = scan::scan(lists);
    (converter.optional, converter.assigned) = (optional, assigned);
    converter.nodes(&template.nodes);
    let Converter { out, report, .. } = converter;
    match report.todo.len() - before {
        0 => out,
        count => stop(count) + &out,
    }
}

/// A line that lets the render fail, so that an incomplete file never replaces a good one.
fn stop(count: usize) -> String {
    let parts = if count == 1 { "1 part is".to_owned() } else { format!("{count} parts are") };
    format!("{{{{ throw(message=\"{parts} not converted: see REPORT.md, then remove this line\") -}}}}\n")
}

/// A comment of Tera.
fn comment(text: &str) -> String {
    format!("{{# {MARK}: {} #}}", text.replace("#}", "# }"))
}

/// A variable of the Go template.
struct Variable {
    name: String,
    value: Value,
}

struct Converter<'a> {
    context: &'a Context<'a>,
    site: &'a mut Site,
    report: &'a mut Report,
    defined: BTreeMap<String, Vec<Node>>,
    /// Paths that the template tests, without slashes around them: they may be absent.
    optional: BTreeSet<String>,
    /// Variables that are assigned after their declaration.
    assigned: BTreeSet<String>,
    scope: Vec<Variable>,
    /// Names of variables in Tera.
    names: BTreeSet<String>,
    dot: Value,
    /// Tags that the current tag needs before it.
    prelude: Vec<String>,
    /// The key that this action has added to the configuration, until its text is used.
    fresh: Option<String>,
    /// Whether the directories that are listed are read by computed paths, too.
    keyed: bool,
    /// How many `template` are being followed.
    calls: usize,
    /// The line of the current action.
    line: usize,
    out: String,
}

impl Converter<'_> {
    fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            if self.out.len() > MAX_OUTPUT {
                self.report.todo(self.context.file, self.line, "the rest is not converted: the result is too large");
                return;
            }
            match node {
                Node::Text(text) => self.text(text),
                Node::Comment(tag, text) => self.tags(tag, &[format!("# {} #", text.trim().replace("#}", "# }"))]),
                Node::Action(tag, pipe) => self.action(tag, pipe),
                Node::Control(control) => self.control(control),
                Node::Define(tag) => self.tags(tag, &[format!("# {} #", tag.source.replace("#}", "# }"))]),
                Node::Call(tag, name, argument) => self.call_template(tag, name, argument.as_ref()),
                Node::Break(tag) => self.tags(tag, &["% break %".to_owned()]),
                Node::Continue(tag) => self.tags(tag, &["% continue %".to_owned()]),
            }
        }
    }

    /// Text, in which what begins a tag of Tera is printed.
    fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            self.out.push_str(&rest[..at]);
            rest = &rest[at..];
            // A brace at the end could begin a tag together with the one of the next tag.
            let length = match rest.as_bytes().get(1) {
                Some(b'{' | b'%' | b'#') => 2,
                None => 1,
                Some(_) => 0,
            };
            match length {
                0 => self.out.push('{'),
                length => self.out.extend(["{{ \"", &rest[..length], "\" }}"]),
            }
            rest = &rest[length.max(1)..];
        }
        self.out.push_str(rest);
    }

    /// Writes tags in place of an action. Each is what stands between `{` and `}`.
    fn tags(&mut self, tag: &Tag, tags: &[String]) {
        for (at, inner) in tags.iter().enumerate() {
            let (sign, rest) = inner.split_at(1);
            let left = if at == 0 && tag.trim_left { "-" } else { "" };
            let right = if at + 1 == tags.len() && tag.trim_right { "-" } else { "" };
            let end = match sign {
                "{" => "}",
                sign => sign,
            };
            let rest = rest.strip_suffix(end).unwrap_or(rest);
            self.out.extend(["{", sign, left, rest, right, end, "}"]);
        }
    }

    /// The tag in place of what is not converted.
    fn unconverted(&mut self, tag: &Tag, reason: &str) -> String {
        self.prelude.clear();
        self.report.todo(self.context.file, tag.line, format!("`{}` is not converted: {reason}", tag.source));
        let inner = comment(&tag.source);
        inner[1..inner.len() - 1].to_owned()
    }

    /// Begins an action.
    fn begin(&mut self, tag: &Tag) {
        self.line = tag.line;
        self.fresh = None;
    }

    fn note(&mut self, text: impl Into<String>) {
        let line = self.line;
        self.report.check(self.context.file, line, text);
    }

    /// A pipeline that is printed, or whose value is set.
    fn action(&mut self, tag: &Tag, pipe: &Pipe) {
        self.begin(tag);
        let tags = match self.statement(pipe) {
            Ok(inner) => {
                let mut tags = std::mem::take(&mut self.prelude);
                tags.push(inner);
                tags
            }
            Err(reason) => vec![self.unconverted(tag, &reason)],
        };
        self.tags(tag, &tags);
    }

    fn statement(&mut self, pipe: &Pipe) -> Result<String, String> {
        let value = self.pipeline(pipe)?;
        let Some(name) = pipe.variables.first() else {
            return value.printed().map(|code| format!("{{ {code} }}"));
        };
        if pipe.is_assignment {
            let variable = self.scope.iter().rev().find(|it| it.name == *name);
            let target = variable.map(|it| it.value.code.clone()).ok_or_else(|| format!("${name} is not declared"))?;
            return Ok(format!("% set_global {target} = {} %", value.code));
        }
        let is_global = self.assigned.contains(name);
        let value = self.declare(name, value)?;
        let set = if is_global { "set_global" } else { "set" };
        Ok(format!("% {set} {} = {} %", value.0, value.1))
    }

    /// Declares a variable. Returns its name in Tera and the code of its value.
    fn declare(&mut self, name: &str, value: Value) -> Result<(String, String), String> {
        if matches!(value.kind, Kind::Groups(_) | Kind::Root) {
            return Err("a variable cannot hold this".to_owned());
        }
        let local = self.local(name);
        let code = value.code.clone();
        let value = if self.assigned.contains(name) {
            Value::atom(&local, value.kind)
        } else {
            let parts = value.parts.as_ref().map(|parts| match &parts[..] {
                // The name of a directory stays one.
                [value::Part::Hole(_, of)] => vec![value::Part::Hole(local.clone(), of.clone())],
                _ => parts.clone(),
            });
            Value { code: local.clone(), strength: value::Strength::Atom, parts, ..value }
        };
        self.scope.push(Variable { name: name.to_owned(), value });
        Ok((local, code))
    }

    /// A name in Tera that this template does not use yet.
    fn local(&mut self, wanted: &str) -> String {
        let name = self.site.local(wanted, &self.names);
        self.names.insert(name.clone());
        name
    }

    /// `template`: what it calls, at its place.
    fn call_template(&mut self, tag: &Tag, name: &str, argument: Option<&Pipe>) {
        self.begin(tag);
        let found = match self.defined.get(name).cloned() {
            None => Err(format!("no template {name:?} is defined in this file")),
            Some(_) if self.calls >= MAX_CALLS => Err("templates that call each other have no counterpart".to_owned()),
            Some(body) => {
                argument.map_or(Ok(Value::atom("", Kind::Root)), |pipe| self.pipeline(pipe)).map(|dot| (body, dot))
            }
        };
        let (body, dot) = match found {
            Ok(found) => found,
            Err(reason) => {
                let mark = self.unconverted(tag, &reason);
                return self.tags(tag, &[mark]);
            }
        };
        let mut tags = std::mem::take(&mut self.prelude);
        tags.push(format!("# {} #", tag.source.replace("#}", "# }")));
        let first = Tag { trim_right: false, ..tag.clone() };
        self.tags(&first, &tags);
        let outer = (std::mem::replace(&mut self.dot, dot), std::mem::take(&mut self.scope));
        self.calls += 1;
        self.nodes(&body);
        self.calls -= 1;
        (self.dot, self.scope) = outer;
        // The last trim mark of the body does not reach the text after it.
        if tag.trim_right {
            self.out.push_str("{# -#}");
        } else if ["-}}", "-%}", "-#}"].iter().any(|end| self.out.ends_with(end)) {
            self.out.push_str("{# end #}");
        }
    }
}

/// The literal that an argument is, if it is one.
fn literal(expr: Option<&Expr>) -> Option<&str> {
    match expr {
        Some(Expr::Text(text)) => Some(text),
        _ => None,
    }
}
