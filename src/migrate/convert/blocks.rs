//! `if`, `with` and `range`.

use super::paths::named;
use super::value::{Groups, Kind, Part, Strength, Value, is_path};
use super::{Converter, scan};
use crate::migrate::go_template::ast::{Control, Keyword, Node, Pipe, Tag};

/// A loop in Tera.
struct Loop {
    /// The tags that begin it.
    tags: Vec<String>,
    /// `.` in it.
    dot: Value,
    /// The variables of Go, and their values.
    variables: Vec<(String, Value)>,
    /// How many `endfor` end it.
    ends: usize,
}

impl Converter<'_> {
    /// A control structure.
    pub fn control(&mut self, control: &Control) {
        if control.keyword == Keyword::Range {
            return self.range(control);
        }
        let (dot, scope) = (self.dot.clone(), self.scope.len());
        let mut ends = 1;
        let mut branch = control;
        let mut before = None;
        loop {
            self.branch(branch, before, &mut ends);
            self.nodes(&branch.body);
            self.dot = dot.clone();
            let Some((tag, nodes)) = &branch.otherwise else { break };
            match &nodes[..] {
                // An `else if` has the end of the first `if`.
                [Node::Control(next)] if next.tag == *tag => {
                    before = Some(tag);
                    branch = next;
                }
                nodes => {
                    self.tags(tag, &["% else %".to_owned()]);
                    self.nodes(nodes);
                    break;
                }
            }
        }
        self.scope.truncate(scope);
        self.tags(&control.end, &vec!["% endif %".to_owned(); ends]);
    }

    /// The first tag of a branch. `before` is the `else` of an `else if`.
    fn branch(&mut self, control: &Control, before: Option<&Tag>, ends: &mut usize) {
        self.begin(&control.tag);
        let (mut tags, condition) = match self.condition(control) {
            Ok(condition) => (std::mem::take(&mut self.prelude), condition),
            Err(reason) => {
                let mut tags = vec![self.unconverted(&control.tag, &reason)];
                if control.keyword == Keyword::With || !control.pipe.variables.is_empty() {
                    let item = self.local("item");
                    tags.push(format!("% set {item} = [] %"));
                    self.declare_unknown(&control.pipe, &item);
                    if control.keyword == Keyword::With {
                        self.dot = Value::atom(item, Kind::Unknown);
                    }
                }
                (tags, "false".to_owned())
            }
        };
        if before.is_some() && tags.iter().all(|tag| tag.starts_with('#')) {
            tags.push(format!("% elif {condition} %"));
            return self.tags(&control.tag, &tags);
        }
        if before.is_some() {
            tags.insert(0, "% else %".to_owned());
            *ends += 1;
        }
        tags.push(format!("% if {condition} %"));
        self.tags(&control.tag, &tags);
    }

    /// The condition of `if` or `with`; for `with`, also its `.`.
    fn condition(&mut self, control: &Control) -> Result<String, String> {
        let mut value = self.pipeline(&control.pipe)?;
        let condition = self.tested(&value)?;
        if let Some(name) = control.pipe.variables.first() {
            if control.pipe.is_assignment {
                return Err("an assignment in a condition has no counterpart".to_owned());
            }
            let (local, code) = self.declare(name, value.clone())?;
            self.prelude.push(format!("% set {local} = {code} %"));
            let truth = value.truth.filter(|_| is_path(&condition));
            value = Value { code: local, strength: Strength::Atom, truth, ..value };
        } else if control.keyword == Keyword::With && !is_path(&value.code) {
            let local = self.local("value");
            self.prelude.push(format!("% set {local} = {} %", value.code));
            value = Value { code: local, strength: Strength::Atom, truth: None, ..value };
        } else if control.keyword == Keyword::If {
            return Ok(condition);
        }
        if control.keyword == Keyword::With {
            self.dot = value.clone();
        }
        Ok(value.condition())
    }

    fn declare_unknown(&mut self, pipe: &Pipe, code: &str) {
        for name in &pipe.variables {
            self.scope.push(super::Variable { name: name.clone(), value: Value::atom(code, Kind::Unknown) });
        }
    }

    fn range(&mut self, control: &Control) {
        self.begin(&control.tag);
        let (dot, scope, keyed) = (self.dot.clone(), self.scope.len(), self.keyed);
        self.keyed = scan::reads_computed_paths(&control.body);
        let looped = self.pipeline(&control.pipe).and_then(|value| self.looped(control, &value));
        self.keyed = keyed;
        let ends = match looped {
            Ok(Loop { tags, dot, variables, ends }) => {
                let mut all = std::mem::take(&mut self.prelude);
                all.extend(tags);
                self.tags(&control.tag, &all);
                self.dot = dot;
                self.scope.extend(variables.into_iter().map(|(name, value)| super::Variable { name, value }));
                ends
            }
            Err(reason) => {
                let mark = self.unconverted(&control.tag, &reason);
                let item = self.local("item");
                self.tags(&control.tag, &[mark, format!("% for {item} in [] %")]);
                self.dot = Value::atom(&item, Kind::Unknown);
                self.declare_unknown(&control.pipe, &item);
                1
            }
        };
        self.nodes(&control.body);
        self.dot = dot;
        self.scope.truncate(scope);
        if let Some((tag, nodes)) = &control.otherwise {
            self.tags(tag, &["% else %".to_owned()]);
            self.nodes(nodes);
        }
        self.tags(&control.end, &vec!["% endfor %".to_owned(); ends]);
    }

    /// The loop over a value.
    fn looped(&mut self, control: &Control, value: &Value) -> Result<Loop, String> {
        if control.pipe.is_assignment {
            return Err("an assignment in range has no counterpart".to_owned());
        }
        if let (Some(_), Some(roster)) = (&control.otherwise, &value.roster) {
            self.site.may_be_empty(roster);
        }
        let variables = &control.pipe.variables;
        let wanted = |or: &str| variables.last().cloned().unwrap_or_else(|| or.to_owned());
        match &value.kind {
            Kind::Groups(groups) => self.grouped(control, groups),
            Kind::List(item) => {
                let default = match **item {
                    Kind::Pair(_) | Kind::Instance(_) => "m",
                    Kind::Service => "service",
                    Kind::Text => "name",
                    _ => "item",
                };
                let item_name = self.local(&wanted(default));
                let mut dot = Value::atom(&item_name, (**item).clone());
                let keys = value.roster.clone().filter(|roster| value.code == format!("{roster} | keys"));
                if **item == Kind::Text || **item == Kind::Service {
                    dot.parts = Some(vec![Part::Hole(item_name.clone(), keys)]);
                }
                Ok(self.with_index(format!("% for {item_name} in {} %", value.code), variables, dot))
            }
            Kind::Map | Kind::Json | Kind::Unknown if variables.len() == 2 => {
                let (key, item) = (self.local(&variables[0]), self.local(&variables[1]));
                let key_value =
                    Value { parts: Some(vec![Part::Hole(key.clone(), None)]), ..Value::atom(&key, Kind::Text) };
                let dot = Value::atom(&item, Kind::Json);
                if value.kind != Kind::Map {
                    self.note("this range is converted for an object; for a list, its index is loop.index0");
                }
                Ok(Loop {
                    tags: vec![format!("% for {key}, {item} in {} %", value.code)],
                    variables: vec![(variables[0].clone(), key_value), (variables[1].clone(), dot.clone())],
                    dot,
                    ends: 1,
                })
            }
            Kind::Map | Kind::Json | Kind::Unknown => {
                let item = self.local(&wanted("item"));
                let values =
                    if value.kind == Kind::Map { format!("{} | values", value.operand()) } else { value.code.clone() };
                let dot = Value::atom(&item, Kind::Json);
                Ok(self.with_index(format!("% for {item} in {values} %"), variables, dot))
            }
            _ => Err("this value cannot be looped over".to_owned()),
        }
    }

    /// A loop with its item as `.`, and with the index as a variable if Go has one.
    fn with_index(&mut self, head: String, variables: &[String], dot: Value) -> Loop {
        let mut tags = vec![head];
        let mut values = Vec::new();
        if let [index, _] = variables {
            // `loop` is that of the innermost loop.
            let local = self.local(index);
            tags.push(format!("% set {local} = loop.index0 %"));
            values.push((index.clone(), Value::atom(local, Kind::Number)));
        }
        values.extend(variables.last().map(|name| (name.clone(), dot.clone())));
        Loop { tags, dot, variables: values, ends: 1 }
    }

    /// Keys of several directories: a loop in a loop.
    fn grouped(&mut self, control: &Control, groups: &Groups) -> Result<Loop, String> {
        let variables = &control.pipe.variables;
        if control.otherwise.is_some() || variables.len() == 2 || scan::breaks(&control.body) {
            return Err(
                "a range over several directories with an index, an else or a break has no counterpart".to_owned()
            );
        }
        let (key, members) = (self.local("key_name"), self.local("nodes"));
        let member = self.local(variables.first().map_or("m", String::as_str));
        let list = groups.name.as_ref().map_or(Ok(members.clone()), |name| named(&members, name))?;
        let (before, after) = &groups.around;
        let before = if before.ends_with('/') { before.clone() } else { format!("{before}/") };
        let after = if after.is_empty() { String::new() } else { format!("/{after}") };
        let dir =
            vec![Part::Literal(before), Part::Hole(key.clone(), Some(groups.roster.clone())), Part::Literal(after)];
        let dot = Value::atom(&member, Kind::Pair(dir));
        let tags =
            vec![format!("% for {key}, {members} in {} %", groups.roster), format!("% for {member} in {list} %")];
        let variables = variables.iter().map(|name| (name.clone(), dot.clone())).collect();
        Ok(Loop { tags, dot, variables, ends: 2 })
    }
}
