//! The JSON Schema of the configuration, for editors.

use serde_json::{Map, Value, json};

use super::keys::{CONFD, Key, TABLES, TEMPLATE, TOP, TableKeys};
use super::reference::description;

/// The schema, as draft 7: the version that editors support for TOML.
#[must_use]
pub fn schema() -> Value {
    let tables = TABLES.iter().filter(|table| table.table != TOP.table);
    let mut schema = definition(&TOP);
    schema.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
    schema.insert("title".to_owned(), "The configuration of rosterd".into());
    schema.insert("definitions".to_owned(), tables.map(|table| (id(table.table), definition(table))).collect());
    schema.into()
}

/// The name of a table in the schema, and in dotted headings of TOML: `[[roster]] wait` is `roster.wait`.
#[must_use]
pub fn id(table: &str) -> String {
    let plain: String = table.chars().filter(|c| !"[]".contains(*c)).collect();
    // `[template]`, as confd writes it, is another table than `[[template]]`.
    if table == CONFD.table { "confd".to_owned() } else { plain.replace(' ', ".") }
}

fn definition(table: &TableKeys) -> Map<String, Value> {
    // A resource of confd may have the keys of a template, too.
    let tables = if table.table == CONFD.table { vec![table, &TEMPLATE] } else { vec![table] };
    let mut properties = Map::new();
    for table in tables {
        for key in table.keys {
            properties.insert(key.name.to_owned(), property(table, key));
        }
        for (alias, name) in table.aliases {
            let key = table.keys.iter().find(|key| key.name == *name);
            properties.extend(key.map(|key| ((*alias).to_owned(), property(table, key))));
        }
    }
    // An alias may stand for a key that is required.
    let is_required = |key: &&Key| key.is_required && table.aliases.iter().all(|(_, name)| *name != key.name);
    let required: Vec<&str> = table.keys.iter().filter(is_required).map(|key| key.name).collect();
    let definition = json!({
        "type": "object",
        "description": description(table.table, None),
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    definition.as_object().cloned().unwrap_or_default()
}

fn property(table: &TableKeys, key: &Key) -> Value {
    let mut schema = key.kind.schema(&id);
    // Draft 7 ignores what is beside a reference.
    if let Some(reference) = schema.remove("$ref") {
        schema.insert("allOf".to_owned(), json!([{"$ref": reference}]));
    }
    schema.insert("description".to_owned(), description(table.table, Some(key.name)).into());
    schema.into()
}
