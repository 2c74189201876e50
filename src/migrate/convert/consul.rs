//! Functions of consul-template. Its own take the value last, so that it can be piped.

use super::Converter;
use super::calls::{arithmetic, join, range, replace, split, trimmed, with_default};
use super::value::{Kind, Part, Strength, Value, quoted};
use crate::migrate::site::KeyFormat;

impl Converter<'_> {
    /// Functions of consul-template. `None` if it is not one.
    pub fn consul(&mut self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        Some(match (name, arguments) {
            ("key", [path]) => self.data(path.clone().into_parts(), None),
            ("keyOrDefault", [path, default]) => self.data(path.clone().into_parts(), Some(default)),
            ("keyExists", [path]) => self.exists(path.clone().into_parts()),
            ("ls" | "safeLs" | "tree" | "safeTree", [path]) => {
                if name.ends_with("ree") {
                    self.note(format!("`{name}` reads all levels below its path, the roster only one"));
                }
                self.members([path.clone().into_parts(), vec![Part::Literal("/*".to_owned())]].concat())
            }
            ("service", [name]) => Ok(self.service(name)),
            ("service", [name, _]) => {
                self.note("rosterd has no health filter: what is registered is a member");
                Ok(self.service(name))
            }
            ("services", []) => Ok(self.services()),
            ("env" | "mustEnv", [variable]) => self.environment(variable),
            ("envOrDefault", [variable, default]) => {
                self.environment(variable).map(|value| with_default(&value, default))
            }
            ("parseJSON", [value]) => self.parsed(value, KeyFormat::Json, true),
            ("parseYAML", [value]) => self.parsed(value, KeyFormat::Yaml, true),
            ("toJSON", [value]) => Ok(value.filtered("json", Kind::Text)),
            ("toJSONPretty", [value]) => Ok(value.filtered("json(pretty=true)", Kind::Text)),
            ("toYAML" | "toTOML", [value]) => {
                self.note(format!("`{name}` may have another layout in rosterd"));
                let filter = if name == "toYAML" { "yaml" } else { "toml" };
                Ok(value.filtered(filter, Kind::Text))
            }
            _ => return text_function(name, arguments),
        })
    }

    /// `service "tag.name@datacenter"`.
    fn service(&mut self, name: &Value) -> Value {
        let Some(text) = name.known().map(str::to_owned) else {
            return self.instances(&name.clone().into_parts());
        };
        let text = text.split(['@', '~', '|']).next().unwrap_or_default();
        if Some(text) != name.known() {
            self.note("the datacenter or filter of this service is ignored: the registry has one list of members");
        }
        let (tag, service) = text.rsplit_once('.').map_or((None, text), |(tag, service)| (Some(tag), service));
        let list = self.instances(&[Part::Literal(service.to_owned())]);
        let Some(tag) = tag else { return list };
        let test = format!("{} in entry.tags | default(value=[])", quoted(tag));
        let code = format!("[entry for entry in {} if {test}]", list.code);
        Value { code, strength: Strength::Closed, ..list }
    }

    fn services(&mut self) -> Value {
        let path = format!("{}/*", self.context.services);
        let roster = self.site.roster(&path, false, None);
        let kind = Kind::List(Box::new(Kind::Service));
        let value = Value::new(format!("{roster} | keys"), Strength::Filtered, kind);
        Value { roster: Some(roster), ..value }
    }
}

/// Functions on text, lists and numbers.
fn text_function(name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    let tested = |code: String| Ok(Value::operator(code, Kind::Bool));
    Some(match (name, arguments) {
        ("split", [separator, text]) => Ok(split(text, separator)),
        ("join", [separator, list]) => Ok(join(list, separator)),
        ("replaceAll", [from, to, text]) => Ok(replace(text, from, to)),
        ("regexReplaceAll", [pattern, to, text]) => {
            let filter = format!("regex_replace(pattern={}, rep={})", pattern.code, to.code);
            Ok(text.filtered(&filter, Kind::Text))
        }
        ("trimPrefix", [start, text]) => trimmed(text, start, "^", ""),
        ("trimSuffix", [end, text]) => trimmed(text, end, "", "$"),
        ("trimSpace", [text]) => Ok(text.filtered("trim", Kind::Text)),
        ("toUpper", [text]) => Ok(text.filtered("upper", Kind::Text)),
        ("toLower", [text]) => Ok(text.filtered("lower", Kind::Text)),
        ("base64Encode", [text]) => Ok(text.filtered("b64encode", Kind::Text)),
        ("md5sum", [text]) => Ok(text.filtered("md5", Kind::Text)),
        ("parseInt", [text]) => Ok(text.filtered("int", Kind::Number)),
        ("contains", [item, list]) => {
            if list.kind == Kind::Text {
                return Some(tested(format!("{} is containing(pat={})", list.operand(), item.code)));
            }
            tested(format!("{} in {}", item.operand(), list.operand()))
        }
        ("in", [list, item]) => tested(format!("{} in {}", item.operand(), list.operand())),
        ("add", [b, a]) => Ok(arithmetic(a, "+", b)),
        ("subtract", [b, a]) => Ok(arithmetic(a, "-", b)),
        ("multiply", [b, a]) => Ok(arithmetic(a, "*", b)),
        ("divide", [b, a]) => Ok(arithmetic(a, "//", b)),
        ("modulo", [b, a]) => Ok(arithmetic(a, "%", b)),
        ("loop", [end]) => Ok(range(&Value::atom("0", Kind::Number), end)),
        ("loop", [first, end]) => Ok(range(first, end)),
        _ => return None,
    })
}
