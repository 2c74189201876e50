//! Functions: those of Go, those of confd, and those that both tools have.

use super::printf::{print, printf};
use super::value::{Kind, Parsed, Part, Strength, Value, quoted};
use super::{Converter, Dialect};
use crate::migrate::site::KeyFormat;

/// Why functions have no counterpart.
const WITHOUT: [(&[&str], &str); 6] = [
    (&["datetime", "timestamp"], "the same members always give the same content, so there is no time"),
    (
        &["lookupIP", "lookupIPV4", "lookupIPV6", "lookupSRV", "sockaddr"],
        "names are not resolved while a template is rendered; register addresses, or let the software resolve the name",
    ),
    (
        &["fileExists", "file", "plugin", "writeToFile", "executeTemplate"],
        "a template reads no other files and runs nothing",
    ),
    (
        &["secret", "secrets", "pkiCert", "cget", "cgets", "cgetv", "cgetvs"],
        "secrets are not read; use a file of the software",
    ),
    (&["html", "js", "urlquery", "call"], "Go's function has no counterpart"),
    (
        &["node", "nodes", "connect", "caRoots", "caLeaf", "datacenters", "partitions"],
        "the registry has no such catalog",
    ),
];

impl Converter<'_> {
    /// The value of a function.
    pub fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        for argument in arguments {
            single(argument)?;
        }
        if let Some(found) = self.builtin(name, arguments) {
            return found;
        }
        let found = match self.context.dialect {
            Dialect::Confd => self.confd(name, arguments),
            Dialect::ConsulTemplate => self.consul(name, arguments),
        };
        found.unwrap_or_else(|| {
            let reason = WITHOUT.iter().find(|(names, _)| names.contains(&name)).map(|(_, why)| (*why).to_owned());
            Err(reason.unwrap_or_else(|| {
                format!("the function {name} with {} arguments has no counterpart", arguments.len())
            }))
        })
    }

    /// Functions of every Go template. `None` if it is not one.
    fn builtin(&mut self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        Some(match (name, arguments) {
            ("and" | "or", [_, ..]) => self.logic(name, arguments),
            ("not", [value]) => {
                self.tested(value).map(|_| Value::operator(format!("not {}", value.condition_operand()), Kind::Bool))
            }
            ("eq", [first, rest @ ..]) if !rest.is_empty() => Ok(compared(first, "==", rest)),
            ("ne", [first, second]) => Ok(compared(first, "!=", std::slice::from_ref(second))),
            ("lt", [first, second]) => Ok(compared(first, "<", std::slice::from_ref(second))),
            ("le", [first, second]) => Ok(compared(first, "<=", std::slice::from_ref(second))),
            ("gt", [first, second]) => Ok(compared(first, ">", std::slice::from_ref(second))),
            ("ge", [first, second]) => Ok(compared(first, ">=", std::slice::from_ref(second))),
            ("len", [value]) => Ok(value.filtered("length", Kind::Number)),
            ("index", [value, keys @ ..]) if !keys.is_empty() => self.index(value, keys),
            ("slice", [value, bounds @ ..]) if bounds.len() <= 2 => Ok(self.slice(value, bounds)),
            ("printf", _) => printf(arguments),
            ("print", _) => print(arguments, false),
            ("println", _) => print(arguments, true),
            _ => return None,
        })
    }

    fn logic(&mut self, name: &str, values: &[Value]) -> Result<Value, String> {
        let (mut codes, mut conditions) = (Vec::new(), Vec::new());
        for value in values {
            self.tested(value)?;
            codes.push(value.operand());
            conditions.push(value.condition_operand());
        }
        let separator = format!(" {name} ");
        let is_bool = values.iter().all(|value| value.kind == Kind::Bool);
        let kind = if is_bool { Kind::Bool } else { values.last().map_or(Kind::Unknown, |value| value.kind.clone()) };
        let truth = Some(conditions.join(&separator));
        Ok(Value { truth, ..Value::operator(codes.join(&separator), kind) })
    }

    fn index(&mut self, value: &Value, keys: &[Value]) -> Result<Value, String> {
        let item = match &value.kind {
            Kind::List(item) => (**item).clone(),
            Kind::Map | Kind::Json | Kind::Unknown => Kind::Json,
            _ => return Err("index of this value has no counterpart".to_owned()),
        };
        let base = self.base(value);
        let codes = keys.iter().map(|key| format!("[{}]", key.code)).collect::<Vec<_>>().concat();
        Ok(Value::atom(format!("{base}{codes}"), if keys.len() == 1 { item } else { Kind::Json }))
    }

    fn slice(&mut self, value: &Value, bounds: &[Value]) -> Value {
        let base = self.base(value);
        let bound = |at: usize| bounds.get(at).map(|bound| bound.code.clone()).unwrap_or_default();
        Value::atom(format!("{base}[{}:{}]", bound(0), bound(1)), value.kind.clone())
    }

    /// Functions of confd. `None` if it is not one.
    fn confd(&mut self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        Some(match (name, arguments) {
            ("gets", [pattern]) => self.members(pattern.clone().into_parts()),
            ("getv", [path]) => self.data(path.clone().into_parts(), None),
            ("getv", [path, default]) => self.data(path.clone().into_parts(), Some(default)),
            ("getvs", [pattern]) => self.members(pattern.clone().into_parts()).and_then(|list| values(&list)),
            ("get", [path]) => self.pair_at(path.clone().into_parts()),
            ("exists", [path]) => self.exists(path.clone().into_parts()),
            ("ls", [path]) => self.names(path.clone().into_parts(), self.keyed, false),
            ("lsdir", [path]) => self.names(path.clone().into_parts(), true, !self.keyed),
            ("json" | "jsonArray", [value]) => self.parsed(value, KeyFormat::Json, name == "json"),
            ("getenv", [variable]) => self.environment(variable),
            ("getenv", [variable, default]) => self.environment(variable).map(|value| with_default(&value, default)),
            ("base", [value]) => Ok(base(value)),
            ("dir", [value]) => Ok(dir(value)),
            ("split", [text, separator]) => Ok(split(text, separator)),
            ("join", [list, separator]) => Ok(join(list, separator)),
            ("replace", [text, from, to, count]) => {
                if count.code == "-1" {
                    Ok(replace(text, from, to))
                } else {
                    Err("replace with a count has no counterpart".to_owned())
                }
            }
            ("contains", [text, part]) => {
                Ok(Value::operator(format!("{} is containing(pat={})", text.operand(), part.code), Kind::Bool))
            }
            ("trimSuffix", [text, end]) => trimmed(text, end, "", "$"),
            ("toUpper", [text]) => Ok(text.filtered("upper", Kind::Text)),
            ("toLower", [text]) => Ok(text.filtered("lower", Kind::Text)),
            ("base64Encode", [text]) => Ok(text.filtered("b64encode", Kind::Text)),
            ("reverse", [list]) => Ok(list.filtered("reverse", list.kind.clone())),
            ("atoi", [text]) => Ok(text.filtered("int", Kind::Number)),
            ("add", [a, b]) => Ok(arithmetic(a, "+", b)),
            ("sub", [a, b]) => Ok(arithmetic(a, "-", b)),
            ("mul", [a, b]) => Ok(arithmetic(a, "*", b)),
            ("div", [a, b]) => Ok(arithmetic(a, "//", b)),
            ("mod", [a, b]) => Ok(arithmetic(a, "%", b)),
            ("seq", [first, last]) => {
                Ok(range(first, &arithmetic(last, "+", &Value::new("1", Strength::Closed, Kind::Number))))
            }
            ("parseBool", [text]) => Ok(Value::operator(
                format!("{} in [\"1\", \"t\", \"T\", \"TRUE\", \"true\", \"True\"]", text.operand()),
                Kind::Bool,
            )),
            ("map", pairs) if pairs.len() % 2 == 0 => map(pairs),
            _ => return None,
        })
    }

    /// The key at a path with its value.
    fn pair_at(&mut self, path: Vec<Part>) -> Result<Value, String> {
        let text = Value::text(path.clone());
        let list = self.at(path)?;
        // The key is the path itself, whatever its directory.
        let dir = text.known().and_then(|path| path.rsplit_once('/')).map(|(dir, _)| dir.to_owned());
        let dir = dir.ok_or("get of a computed path has no counterpart")?;
        Ok(Value::new(format!("{list} | first"), Strength::Filtered, Kind::Pair(vec![Part::Literal(dir)])))
    }

    /// Whether there is a key at a path.
    pub fn exists(&mut self, path: Vec<Part>) -> Result<Value, String> {
        let list = self.at(path)?;
        let truth = Some(list.clone());
        Ok(Value { truth, ..Value::operator(format!("{list} | length > 0"), Kind::Bool) })
    }

    /// Data, parsed.
    pub fn parsed(&mut self, value: &Value, format: KeyFormat, is_object: bool) -> Result<Value, String> {
        let kind = if is_object { Kind::Map } else { Kind::List(Box::new(Kind::Json)) };
        match &value.parsed {
            Parsed::Node(_) if self.fresh.as_ref() == Some(&value.code) => {
                // Only the parsed data is used.
                self.site.remove_key(&value.code);
                self.fresh = None;
                self.parsed(&Value { code: String::new(), ..value.clone() }, format, is_object)
            }
            Parsed::Node(path) => Ok(Value { kind, ..self.node(path, format) }),
            Parsed::Code(code, strength) if is_object && format == KeyFormat::Json => {
                Ok(Value::new(code, *strength, kind))
            }
            Parsed::Code(..) => Err("the data of a member is parsed only if it is a JSON object".to_owned()),
            Parsed::Unknown => Err("only the data of a node can be parsed".to_owned()),
        }
    }

    /// An environment variable.
    pub fn environment(&mut self, name: &Value) -> Result<Value, String> {
        let name = name.known().ok_or("the name of the variable is not a literal")?.to_owned();
        let variable = self.site.environment(&name);
        self.note(format!("`vars.{variable}` is the variable {name} of rosterd's environment: the configuration is refused if it is not set"));
        Ok(Value::atom(format!("vars.{variable}"), Kind::Text))
    }
}

/// A value that is not a list of lists.
fn single(value: &Value) -> Result<(), String> {
    match value.kind {
        Kind::Groups(_) => Err("keys of several directories can only be looped over".to_owned()),
        Kind::Root => Err("there is no data outside of a block".to_owned()),
        _ => Ok(()),
    }
}

fn compared(first: &Value, sign: &str, others: &[Value]) -> Value {
    let codes = others.iter().map(|other| format!("{} {sign} {}", first.operand(), other.operand()));
    Value::operator(codes.collect::<Vec<_>>().join(" or "), Kind::Bool)
}

/// The sorted data of members.
fn values(list: &Value) -> Result<Value, String> {
    single(list)?;
    let code = match list.code.strip_prefix("[entry for") {
        Some(rest) => format!("[entry.string_value for{rest} | sort"),
        None => format!("[entry.string_value for entry in {}] | sort", list.operand()),
    };
    let kind = Kind::List(Box::new(Kind::Text));
    Ok(Value { roster: list.roster.clone(), ..Value::new(code, Strength::Filtered, kind) })
}

pub fn with_default(value: &Value, default: &Value) -> Value {
    value.filtered(&format!("default(value={}, boolean=true)", default.code), value.kind.clone())
}

/// The part of a path after the last slash.
pub fn base(value: &Value) -> Value {
    if let Some(parts) = &value.parts {
        let last = parts.iter().rposition(|part| matches!(part, Part::Literal(text) if text.contains('/')));
        match (last, parts.last()) {
            (Some(at), Some(end)) if !matches!(end, Part::Literal(text) if text.ends_with('/')) => {
                let mut parts = parts[at..].to_vec();
                if let Part::Literal(text) = &mut parts[0] {
                    *text = text.rsplit('/').next().unwrap_or_default().to_owned();
                }
                return Value::text(parts);
            }
            // A name has no slash.
            (None, Some(Part::Hole(code, _)))
                if parts.len() == 1 && code.rsplit_once('.').is_some_and(|(_, field)| field == "name") =>
            {
                return value.clone();
            }
            _ => {}
        }
    }
    value.filtered("base", Kind::Text)
}

/// The part of a path before the last slash.
fn dir(value: &Value) -> Value {
    if let Some([before @ .., Part::Literal(slash), Part::Hole(..)]) = value.parts.as_deref()
        && let Some(directory) = slash.strip_suffix('/').filter(|it| !it.is_empty() && !it.ends_with('/'))
    {
        return Value::text([before, &[Part::Literal(directory.to_owned())]].concat());
    }
    value.filtered("dir", Kind::Text)
}

pub fn split(text: &Value, separator: &Value) -> Value {
    text.filtered(&format!("split(pat={})", separator.code), Kind::List(Box::new(Kind::Text)))
}

pub fn join(list: &Value, separator: &Value) -> Value {
    list.filtered(&format!("join(sep={})", separator.code), Kind::Text)
}

pub fn replace(text: &Value, from: &Value, to: &Value) -> Value {
    text.filtered(&format!("replace(from={}, to={})", from.code, to.code), Kind::Text)
}

/// Text without a literal at its start or its end.
pub fn trimmed(text: &Value, literal: &Value, before: &str, after: &str) -> Result<Value, String> {
    let literal = literal.known().ok_or("what is trimmed is not a literal")?;
    let escaped: String = literal
        .chars()
        .flat_map(|c| (!c.is_alphanumeric() && c.is_ascii()).then_some('\\').into_iter().chain([c]))
        .collect();
    let pattern = quoted(&format!("{before}{escaped}{after}"));
    Ok(text.filtered(&format!("regex_replace(pattern={pattern}, rep=\"\")"), Kind::Text))
}

pub fn arithmetic(a: &Value, sign: &str, b: &Value) -> Value {
    match (a.code.parse::<i32>(), b.code.parse::<i32>(), sign) {
        (Ok(a), Ok(b), "+") => Value::atom((i64::from(a) + i64::from(b)).to_string(), Kind::Number),
        _ => Value::operator(format!("{} {sign} {}", a.operand(), b.operand()), Kind::Number),
    }
}

/// Numbers from `first` up to, but without, `end`.
pub fn range(first: &Value, end: &Value) -> Value {
    let kind = Kind::List(Box::new(Kind::Number));
    Value::new(format!("range(start={}, end={})", first.code, end.code), Strength::Closed, kind)
}

fn map(pairs: &[Value]) -> Result<Value, String> {
    let mut entries = Vec::new();
    for pair in pairs.chunks(2) {
        let key = pair[0].known().ok_or("a key of map is not a literal")?;
        entries.push(format!("{}: {}", quoted(key), pair[1].code));
    }
    // `}}` would end the tag.
    Ok(Value::new(format!("{{{} }}", entries.join(", ")), Strength::Closed, Kind::Map))
}
