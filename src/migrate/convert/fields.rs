//! Fields of members and of parsed data.

use super::value::{Kind, Parsed, Part, Strength, Value, quoted};
use super::{Converter, Dialect};
use crate::config::check_roster_name;

impl Converter<'_> {
    /// The value of a field.
    pub fn field(&mut self, value: Value, name: &str) -> Result<Value, String> {
        match value.kind.clone() {
            Kind::Pair(dir) => self.pair(&value, &dir, name),
            Kind::Instance(service) => self.instance(&value, service, name),
            Kind::Service if name == "Name" => Ok(Value { kind: Kind::Text, ..value }),
            Kind::Map | Kind::Json | Kind::Unknown => {
                let base = self.base(&value);
                let plain = check_roster_name(name).is_ok();
                let code = if plain { format!("{base}.{name}") } else { format!("{base}[{}]", quoted(name)) };
                Ok(Value::atom(code, Kind::Json))
            }
            Kind::Root => Err("there is no data outside of a block".to_owned()),
            _ => Err(format!("this value has no field .{name} in rosterd")),
        }
    }

    /// A field of a key with its value.
    fn pair(&mut self, value: &Value, dir: &[Part], name: &str) -> Result<Value, String> {
        let member = self.base(value);
        match (name, self.context.dialect) {
            ("Key", _) => Ok(self.key_of(dir, &member)),
            ("Value", _) => Ok(Value {
                truth: Some(format!("{member}.data")),
                parsed: Parsed::Code(format!("{member}.data"), Strength::Atom),
                ..Value::atom(format!("{member}.string_value"), Kind::Text)
            }),
            ("Path", Dialect::ConsulTemplate) => {
                let mut parts = dir.to_vec();
                if let Some(Part::Literal(first)) = parts.first_mut() {
                    *first = first.trim_start_matches('/').to_owned();
                }
                parts.extend([Part::Literal("/".to_owned()), Part::Hole(format!("{member}.name"), None)]);
                Ok(Value::text(parts))
            }
            _ => Err(format!("a member has no counterpart of .{name}")),
        }
    }

    /// A field of an instance of a service.
    fn instance(&mut self, value: &Value, service: Vec<Part>, name: &str) -> Result<Value, String> {
        let member = self.base(value);
        let text = |field: &str| Value::atom(format!("{member}.{field}"), Kind::Text);
        Ok(match name {
            "Address" => text("host"),
            "Port" => Value::atom(format!("{member}.port"), Kind::Number),
            "Name" => Value::text(service),
            "Status" => text("status"),
            "ID" | "Node" | "NodeAddress" => {
                let field = if name == "ID" { "name" } else { "host" };
                self.note(format!("`.{name}` is the {field} of the member, because nodes have no such field"));
                text(field)
            }
            "Tags" => {
                let code = format!("{member}.tags | default(value=[])");
                Value::new(code, Strength::Filtered, Kind::List(Box::new(Kind::Text)))
            }
            "ServiceMeta" | "Meta" => Value::atom(format!("{member}.data"), Kind::Map),
            _ => return Err(format!("a member has no counterpart of .{name}")),
        })
    }
}
