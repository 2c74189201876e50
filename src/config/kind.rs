//! The type of a key's value, and its JSON Schema.

use serde_json::{Map as Object, Value, json};

/// The type of a value. What only the parser can check, such as the syntax of a URL, is not part of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// A nonempty string.
    Text,
    /// A string.
    String,
    /// A string that matches this regular expression.
    Pattern(&'static str),
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
    /// A whole number from the first to the second.
    Count(u32, u32),
    /// A list, whose elements have this type.
    List(&'static Kind),
    /// A table with arbitrary keys, whose values have this type.
    Map(&'static Kind),
    /// The table of this name.
    Table(&'static str),
    /// One of several types.
    Either(&'static [Kind]),
    /// Any value.
    Any,
}

/// The end of an open range.
pub const MAX: u32 = u32::MAX;

/// `"500ms"`, `"1h 30m"`.
pub const DURATION: Kind = Kind::Pattern("^ *([0-9]+ *[A-Za-zµ]+ *)+$");

/// The name of a variable in templates.
pub const IDENTIFIER: Kind = Kind::Pattern("^[A-Za-z_][A-Za-z0-9_]*$");

/// A user or a group, by name or number.
pub const ID: Kind = Kind::Either(&[Kind::Text, Kind::Count(0, MAX - 1)]);

/// A command, as a string or as a list.
pub const COMMAND: Kind = Kind::Either(&[Kind::Text, Kind::List(&Kind::String)]);

impl Kind {
    /// The JSON Schema of the type. `table` is the name of a table's definition.
    pub fn schema(&self, table: &dyn Fn(&str) -> String) -> Object<String, Value> {
        let schema = match self {
            Self::Text => json!({"type": "string", "minLength": 1}),
            Self::String => json!({"type": "string"}),
            Self::Pattern(pattern) => json!({"type": "string", "pattern": pattern}),
            Self::OneOf(words) => json!({"enum": words}),
            Self::Boolean => json!({"type": "boolean"}),
            Self::Count(min, MAX) => json!({"type": "integer", "minimum": min}),
            Self::Count(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
            Self::List(kind) => json!({"type": "array", "items": kind.schema(table)}),
            Self::Map(kind) => json!({"type": "object", "additionalProperties": kind.schema(table)}),
            Self::Table(name) => json!({"$ref": format!("#/definitions/{}", table(name))}),
            Self::Either(kinds) => {
                json!({"anyOf": kinds.iter().map(|kind| kind.schema(table)).collect::<Vec<_>>()})
            }
            Self::Any => json!({}),
        };
        schema.as_object().cloned().unwrap_or_default()
    }
}
