//! Paths and patterns of keys, as rosters and keys of the configuration.

use super::value::{Groups, Kind, Parsed, Part, Strength, Value, is_path, quoted};
use super::{Converter, Dialect};
use crate::migrate::site::KeyFormat;

/// One segment of a path.
type Segment = Vec<Part>;

/// Characters of a pattern.
const WILD: [char; 3] = ['*', '?', '['];

impl Converter<'_> {
    /// The format of nodes that hold keys.
    const KEYS: Option<&'static str> = Some("nextdoor");

    /// The path of a key as the registry has it.
    fn absolute(&self, path: &str) -> String {
        let path = format!("{}/{}", self.context.prefix, path.trim_matches('/'));
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        format!("/{}", segments.join("/"))
    }

    /// `gets`: the keys that match a pattern.
    pub fn members(&mut self, pattern: Vec<Part>) -> Result<Value, String> {
        let (mut directory, name) = split(pattern)?;
        let name = (name != [Part::Literal("*".to_owned())]).then_some(name);
        if let Some(at) = directory.iter().position(|segment| is_wild(segment)) {
            if directory.iter().enumerate().any(|(other, it)| other != at && !is_literal(it)) {
                return Err("a roster's path has one variable segment".to_owned());
            }
            let texts: Vec<String> = directory.iter().map(|segment| literal(segment)).collect();
            if texts[at].contains(['?', '[']) {
                return Err("a roster's path has no wildcard but *".to_owned());
            }
            let roster = self.site.roster(&self.absolute(&texts.join("/")), false, Self::KEYS);
            let around = (format!("/{}", texts[..at].join("/")), texts[at + 1..].join("/"));
            let groups = Groups { roster, around, name };
            return Ok(Value::operator("", Kind::Groups(Box::new(groups))));
        }
        let dir: Vec<Part> = path_of(&directory);
        let (code, roster) = self.directory(&mut directory)?;
        let kind = Kind::List(Box::new(Kind::Pair(dir)));
        let list = match name {
            None if is_path(&code) => Value::atom(code, kind),
            None => Value::operator(code, kind),
            Some(name) => Value::new(named(&code, &name)?, Strength::Closed, kind),
        };
        Ok(Value { roster, ..list })
    }

    /// The list of members of a directory, with at most one segment that is known only when the template runs. Also
    /// the roster, if it is a list.
    fn directory(&mut self, segments: &mut [Segment]) -> Result<(String, Option<String>), String> {
        let mut holes = segments.iter_mut().filter(|segment| !is_literal(segment));
        let (hole, more) = (holes.next(), holes.next());
        if more.is_some() {
            return Err("a roster's path has one variable segment".to_owned());
        }
        let Some(hole) = hole else {
            let path: Vec<String> = segments.iter().map(|segment| literal(segment)).collect();
            let name = self.site.roster(&self.absolute(&path.join("/")), false, Self::KEYS);
            return Ok((name.clone(), Some(name)));
        };
        let key = std::mem::replace(hole, vec![Part::Literal(star(hole))]);
        let path: Vec<String> = segments.iter().map(|segment| literal(segment)).collect();
        let roster = self.site.roster(&self.absolute(&path.join("/")), false, Self::KEYS);
        let index = Value::text(key.clone()).code;
        let exists = matches!(&key[..], [Part::Hole(_, Some(of))] if *of == roster);
        let item = format!("{roster}[{index}]");
        Ok((if exists { item } else { format!("{item} | default(value=[])") }, None))
    }

    /// The key at a path as a list of one member, or of none.
    pub fn at(&mut self, path: Vec<Part>) -> Result<String, String> {
        let (mut directory, name) = split(path)?;
        if is_wild(&name) || directory.iter().any(|segment| is_wild(segment)) {
            return Err("this path has wildcards".to_owned());
        }
        let (list, roster) = self.directory(&mut directory)?;
        if let Some(roster) = roster {
            self.site.may_be_empty(&roster);
        }
        named(&list, &name)
    }

    /// `getv` and `key`: the data of the key at a path.
    pub fn data(&mut self, path: Vec<Part>, default: Option<&Value>) -> Result<Value, String> {
        let known = Value::text(path.clone()).known().map(str::to_owned);
        match known {
            Some(path) if default.is_none() && !self.optional.contains(path.trim_matches('/')) => {
                let path = self.absolute(&path);
                if path.contains(WILD) {
                    return Err("this path has wildcards".to_owned());
                }
                Ok(Value { parsed: Parsed::Node(path.clone()), ..self.node(&path, KeyFormat::Text) })
            }
            _ => {
                let list = self.at(path)?;
                let field =
                    |field: &str| format!("{} | first", list.replacen("[entry for", &format!("[entry.{field} for"), 1));
                let default = default.map(|it| format!(" | default(value={})", it.code)).unwrap_or_default();
                let code = field("string_value") + &default;
                let parsed = Parsed::Code(field("data"), Strength::Filtered);
                Ok(Value { parsed, ..Value::new(code, Strength::Filtered, Kind::Text) })
            }
        }
    }

    /// The data of a node, by a `[[key]]`.
    pub fn node(&mut self, path: &str, format: KeyFormat) -> Value {
        let kind = if format == KeyFormat::Text { Kind::Text } else { Kind::Json };
        let (name, is_new) = self.site.key(path, format);
        self.fresh = is_new.then(|| name.clone());
        Value::atom(name, kind)
    }

    /// `ls` and `lsdir`: the names below a directory. With `keyed`, they are those that a roster with `*` has.
    pub fn names(&mut self, path: Vec<Part>, keyed: bool, every_child: bool) -> Result<Value, String> {
        let mut segments = segments(path)?;
        if segments.iter().any(|segment| is_wild(segment)) {
            return Err("this path has wildcards".to_owned());
        }
        let texts = Kind::List(Box::new(Kind::Text));
        if !segments.iter().all(|segment| is_literal(segment)) {
            if keyed {
                return Err("a roster's path has one variable segment".to_owned());
            }
            let (list, _) = self.directory(&mut segments)?;
            return Ok(Value::new(format!("{list} | pluck(attribute=\"name\")"), Strength::Filtered, texts));
        }
        let path: Vec<String> = segments.iter().map(|segment| literal(segment)).collect();
        if keyed {
            let path = self.absolute(&format!("{}/*", path.join("/")));
            let roster = self.site.roster(&path, every_child, Self::KEYS);
            let value = Value::new(format!("{roster} | keys"), Strength::Filtered, texts);
            return Ok(Value { roster: Some(roster), ..value });
        }
        let roster = self.site.roster(&self.absolute(&path.join("/")), true, Self::KEYS);
        let value = Value::new(format!("{roster} | pluck(attribute=\"name\")"), Strength::Filtered, texts);
        Ok(Value { roster: Some(roster), ..value })
    }

    /// The instances of a service.
    pub fn instances(&mut self, name: &[Part]) -> Value {
        let kind = Kind::List(Box::new(Kind::Instance(name.to_vec())));
        let services = &self.context.services;
        if let [Part::Literal(name)] = name {
            let roster = self.site.roster(&format!("{services}/{name}"), false, None);
            return Value { roster: Some(roster.clone()), ..Value::atom(roster, kind) };
        }
        let roster = self.site.roster(&format!("{services}/*"), false, None);
        let item = format!("{roster}[{}]", Value::text(name.to_vec()).code);
        if matches!(name, [Part::Hole(_, Some(of))] if *of == roster) {
            return Value::atom(item, kind);
        }
        Value::operator(format!("{item} | default(value=[])"), kind)
    }

    /// The key of a member, as the template language shows it.
    pub fn key_of(&self, dir: &[Part], member: &str) -> Value {
        let name = Part::Hole(format!("{member}.name"), None);
        match self.context.dialect {
            Dialect::Confd => Value::text([dir, &[Part::Literal("/".to_owned()), name]].concat()),
            Dialect::ConsulTemplate => Value::text(vec![name]),
        }
    }
}

/// The members of a list whose name matches.
pub fn named(list: &str, name: &[Part]) -> Result<String, String> {
    let test = if is_wild(name) {
        if !is_literal(name) || literal(name).contains('\\') {
            return Err("a pattern with a variable part or a \\ has no counterpart".to_owned());
        }
        format!("entry.name is matching(pat={})", quoted(&literal(name).replace("[^", "[!")))
    } else {
        format!("entry.name == {}", Value::text(name.to_vec()).operand())
    };
    let list = if list.contains(" | ") { format!("({list})") } else { list.to_owned() };
    Ok(format!("[entry for entry in {list} if {test}]"))
}

/// The segments of a path.
fn segments(path: Vec<Part>) -> Result<Vec<Segment>, String> {
    let mut segments: Vec<Segment> = vec![Vec::new()];
    for part in path {
        match part {
            Part::Literal(text) => {
                for (at, piece) in text.split('/').enumerate() {
                    if at > 0 {
                        segments.push(Vec::new());
                    }
                    if let (false, Some(last)) = (piece.is_empty(), segments.last_mut()) {
                        last.push(Part::Literal(piece.to_owned()));
                    }
                }
            }
            hole @ Part::Hole(..) => {
                if let Some(last) = segments.last_mut() {
                    last.push(hole);
                }
            }
        }
    }
    // A variable alone may be a whole path.
    if segments.len() == 1 && matches!(segments[0][..], [Part::Hole(..)]) {
        return Err("this path is known only when the template runs".to_owned());
    }
    segments.retain(|segment| !segment.is_empty());
    Ok(segments)
}

/// The directory and the name of a path.
fn split(path: Vec<Part>) -> Result<(Vec<Segment>, Segment), String> {
    let mut segments = segments(path)?;
    let name = segments.pop().ok_or("this path has no name")?;
    Ok((segments, name))
}

fn path_of(segments: &[Segment]) -> Vec<Part> {
    segments.iter().flat_map(|segment| [vec![Part::Literal("/".to_owned())], segment.clone()].concat()).collect()
}

fn is_literal(segment: &[Part]) -> bool {
    segment.iter().all(|part| matches!(part, Part::Literal(_)))
}

fn is_wild(segment: &[Part]) -> bool {
    segment.iter().any(|part| matches!(part, Part::Literal(text) if text.contains(WILD)))
}

fn literal(segment: &[Part]) -> String {
    let texts = segment.iter().map(|part| match part {
        Part::Literal(text) => text.as_str(),
        Part::Hole(..) => "",
    });
    texts.collect()
}

/// A segment with `*` for what is known only when the template runs.
fn star(segment: &[Part]) -> String {
    let mut out = String::new();
    for part in segment {
        match part {
            Part::Literal(text) => out.push_str(text),
            Part::Hole(..) if out.ends_with('*') => {}
            Part::Hole(..) => out.push('*'),
        }
    }
    out
}
