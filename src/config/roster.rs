//! `[[roster]]` and `[[key]]`.

use std::sync::Arc;

use toml::de::DeValue;

use crate::model::node_path::{NodePath, Subject};
use crate::payload::{Custom, FieldPath, Format, Payload};

use super::interpolate::Interpolation;
use super::jones::{jones, reject_without_jones};
use super::keys::{KEY, PAYLOAD, PAYLOAD_FIELDS, ROSTER, WAIT};
use super::names::Names;
use super::problem::ValueError;
use super::registry::Registries;
use super::table::{Table, Value};
use super::{AboveMax, Bounds, Guard, KeyConfig, KeyFormat, Order, Pick, RosterConfig, Wait, Where, scalar};

/// Names that templates or Tera use already.
const RESERVED: [&str; 20] = [
    "rosters", "host", "vars", "and", "or", "not", "in", "is", "if", "else", "for", "true", "True", "false", "False",
    "none", "None", "null", "loop", "body",
];

const PATH_EXAMPLE: &str = "\"/services/web\"";

const WHERE_EXAMPLE: &str = "'zone == vars.zone'";

/// Reads rosters and keys.
pub struct RosterParser<'a> {
    /// Interpolates paths.
    pub fill: &'a Interpolation<'a>,
    /// Every registry; the first is the default.
    pub registries: &'a Registries,
    /// The names of rosters and keys so far.
    pub names: Names,
    /// Every `where` so far.
    pub wheres: Vec<Where>,
}

impl RosterParser<'_> {
    /// Every `[[roster]]` of these files.
    pub fn rosters(&mut self, tops: &[Table<'_>]) -> Vec<Arc<RosterConfig>> {
        let tables = tops.iter().filter_map(|top| top.get("roster")).flat_map(|value| value.tables(&[&ROSTER]));
        tables.filter_map(|table| self.roster(&table)).map(Arc::new).collect()
    }

    /// Every `[[key]]` of these files.
    pub fn keys(&mut self, tops: &[Table<'_>]) -> Vec<Arc<KeyConfig>> {
        let tables = tops.iter().filter_map(|top| top.get("key")).flat_map(|value| value.tables(&[&KEY]));
        tables.filter_map(|table| self.key(&table)).map(Arc::new).collect()
    }

    /// Reads one roster; `None` if its path or name is invalid, which has been reported.
    fn roster(&mut self, table: &Table<'_>) -> Option<RosterConfig> {
        let path = table.require("path", PATH_EXAMPLE);
        let subject = path.and_then(|value| {
            let text = value.filled(self.fill, PATH_EXAMPLE)?;
            value.accept(Subject::parse(&text).map_err(|why| bad_path(&text, &why)))
        });
        let default = subject.as_ref().map(|subject| subject.top().name());
        let name = self.name(table, default, "roster");
        let registry = self.registries.named_by(table);
        let payload = table.get("payload").and_then(|value| payload(&value)).unwrap_or_default();
        let bounds = bounds(table);
        let pick =
            table.get("pick").and_then(|value| value.choice(&[("first", Pick::First), ("spread", Pick::Spread)]));
        let wait = table.get("wait").and_then(|value| wait(&value)).unwrap_or(Wait::DEFAULT);
        let shrink = table.get("max_shrink").and_then(|value| value.read(scalar::percent, "\"50%\""));
        let hold = table.get("hold_max").and_then(|value| value.duration("\"15m\""));
        let guard = Guard {
            max_shrink_percent: shrink.unwrap_or(Guard::DEFAULT.max_shrink_percent),
            hold_max: hold.unwrap_or(Guard::DEFAULT.hold_max),
        };
        let orders = [("name", Order::Name), ("id", Order::Id), ("weight", Order::Weight)];
        let order = table.get("order").and_then(|value| value.choice(&orders)).unwrap_or(Order::Name);
        let slot_keep = table.get("slot_keep").and_then(|value| value.duration("\"10m\"")).unwrap_or_default();
        let filter = table.get("where").and_then(|value| Some((value, value.filled(self.fill, WHERE_EXAMPLE)?)));
        let (Some(name), Some(subject)) = (name, subject) else {
            table.report.set_incomplete();
            return None;
        };
        if let Some((value, text)) = filter {
            let (file, source) = (value.source.file.clone(), Arc::clone(&value.source.text));
            let is_keyed = matches!(subject, Subject::Keyed { .. });
            self.wheres.push(Where { roster: Arc::clone(&name), is_keyed, text, file, source, span: value.span() });
        }
        Some(RosterConfig {
            name,
            registry,
            subject,
            payload,
            bounds,
            pick: pick.unwrap_or(Pick::First),
            wait,
            guard,
            filter: None,
            order,
            slot_keep,
        })
    }

    /// Reads one key; `None` if its path, service or name is invalid, which has been reported.
    fn key(&mut self, table: &Table<'_>) -> Option<KeyConfig> {
        let read = match table.get("jones") {
            Some(value) => jones(table, &value, self.fill),
            None => self.node(table),
        };
        let name = self.name(table, read.as_ref().map(|(name, ..)| &**name), "key");
        let registry = self.registries.named_by(table);
        let (Some(name), Some((_, subject, format))) = (name, read) else {
            table.report.set_incomplete();
            return None;
        };
        Some(KeyConfig { name, registry, subject, format })
    }

    /// The default name of a key, its node and its format.
    fn node(&self, table: &Table<'_>) -> Option<(String, Subject, KeyFormat)> {
        reject_without_jones(table);
        let path = table.require("path", "\"/config/app\"").and_then(|value| {
            let text = value.filled(self.fill, "\"/config/app\"")?;
            if text.contains('*') {
                value.reject(ValueError::new(
                    format!("a [[key]] watches a single node, but its path {text:?} contains a *"),
                    "name the node; only a roster's path may have a *",
                ));
                return None;
            }
            value.accept(NodePath::parse(&text).map_err(|why| bad_path(&text, &why)))
        });
        let formats = [
            ("text", KeyFormat::Text),
            ("json", KeyFormat::Json),
            ("toml", KeyFormat::Toml),
            ("yaml", KeyFormat::Yaml),
        ];
        let format = table.get("format").and_then(|value| value.choice(&formats)).unwrap_or(KeyFormat::Text);
        let path = path?;
        Some((path.name().to_owned(), Subject::Node(path), format))
    }

    /// The name as written, or the default from the path.
    fn name(&mut self, table: &Table<'_>, default: Option<&str>, what: &str) -> Option<Arc<str>> {
        let written = table.get("name");
        let name = match &written {
            Some(value) => value.text("\"web\"")?,
            None => default?,
        };
        let report = |wrong: ValueError| match &written {
            Some(value) => value.reject(wrong),
            None => table.report.error(table.problem(wrong)),
        };
        if !scalar::is_identifier(name) {
            let from = if written.is_some() { "" } else { " (derived from the path)" };
            let message = format!("{name:?}{from} is not a valid variable name in templates");
            let near: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            let near = match near.as_str() {
                "" => "services".to_owned(),
                near if scalar::is_identifier(near) => near.to_owned(),
                near => format!("_{near}"),
            };
            report(ValueError::new(
                message,
                format!("write name = {near:?}: letters, digits and _, not beginning with a digit"),
            ));
            return None;
        }
        if let Err(message) = check_roster_name(name) {
            report(ValueError::new(message, format!("write another name, as in name = \"{name}_members\"")));
            return None;
        }
        self.names.add(name, what, written.as_ref(), table);
        Some(Arc::from(name))
    }
}

/// Checks that a name can be that of a variable in templates.
///
/// # Errors
/// What is wrong with it.
pub fn check_roster_name(name: &str) -> Result<(), String> {
    if !scalar::is_identifier(name) {
        return Err(format!("{name:?} is not a valid variable name in templates"));
    }
    if RESERVED.contains(&name) {
        return Err(format!("{name:?} is reserved in templates"));
    }
    Ok(())
}

/// The error for an invalid path.
fn bad_path(text: &str, why: &impl std::fmt::Display) -> ValueError {
    let hint = if text.contains('*') {
        "write path = \"/services/*\", with a single *".to_owned()
    } else {
        format!("write path = {PATH_EXAMPLE}")
    };
    ValueError::new(format!("{text:?} is not a valid path: {why}"), hint)
}

/// `min`, `max` and `above_max`, checked against each other; the defaults for what has been reported.
fn bounds(table: &Table<'_>) -> Bounds {
    let above =
        table.get("above_max").and_then(|value| value.choice(&[("cut", AboveMax::Cut), ("hold", AboveMax::Hold)]));
    let (min_value, max_value) = (table.get("min"), table.get("max"));
    let min = min_value.map_or(Some(1), |value| value.count("1"));
    let max: Option<usize> = max_value.and_then(|value| value.count("5"));
    let problem = match (min, max) {
        (_, Some(0)) => Some((
            max_value,
            ValueError::new("`max` is 0, which would leave no members", "write max = 1 or more, or remove max"),
        )),
        // The default of `min` is 1, and only a `max` of 0 is less than that.
        (Some(min), Some(max)) if min > max => {
            let message = format!("`min` ({min}) is greater than `max` ({max})");
            Some((min_value, ValueError::new(message, format!("write min = {max} or less, or remove max"))))
        }
        _ => None,
    };
    if let Some((Some(value), wrong)) = problem {
        value.reject(wrong);
    }
    Bounds::new(min.unwrap_or(1), max, above.unwrap_or(AboveMax::Cut)).unwrap_or(Bounds::DEFAULT)
}

/// `payload = "nerve"`, `{ format = "nerve", … }`, or the fields of JSON data as `{ host = …, port = … }`.
fn payload(value: &Value<'_>) -> Option<Payload> {
    if !matches!(value.raw(), DeValue::Table(_)) {
        return named_payload(value);
    }
    let example = "{ host = \"ip\", port = \"svc.port\" }";
    let table = value.table(&[&PAYLOAD], example)?;
    let (format, every_child) = (table.get("format"), table.get("every_child"));
    let field = |key: &'static str| {
        let value = table.get(key)?;
        let text = value.text("\"svc.port\"")?;
        value.accept(FieldPath::parse(text).map_err(|why| {
            ValueError::new(format!("`{key}` cannot be {text:?}: {why}"), format!("write {key} = \"svc.port\""))
        }))
    };
    let custom = Custom {
        host: field("host"),
        port: field("port"),
        id: field("id"),
        weight: field("weight"),
        status: field("status"),
    };
    let has_fields = PAYLOAD_FIELDS.iter().any(|key| table.get(key).is_some());
    match format.or(every_child) {
        None if has_fields => return Some(Format::Custom(Arc::new(custom)).into()),
        None => {
            let message = "`payload` is a table that sets no field";
            value.reject(ValueError::new(message, format!("write payload = {example}")));
            return None;
        }
        Some(value) if has_fields => {
            let message = format!("`{}` cannot be combined with fields of JSON data", value.key);
            value.reject(ValueError::new(message, "write either format = \"…\" or the fields"));
            return None;
        }
        Some(_) => {}
    }
    let payload = format.map_or(Some(Payload::default()), |value| named_payload(&value))?;
    let payload = Payload { every_child: every_child.and_then(|value| value.boolean()).unwrap_or(false), ..payload };
    if let Some(value) = every_child.filter(|_| payload.every_child && !payload.has_non_members()) {
        let message = "`every_child` has no effect with this format, which itself determines what a member is";
        value.reject(ValueError::new(message, "leave it out; it is for auto, nextdoor and hostport"));
    }
    Some(payload)
}

/// A format by its name.
fn named_payload(value: &Value<'_>) -> Option<Payload> {
    Payload::parse(value.choice(&Payload::NAMES.map(|name| (name, name)))?)
}

/// `wait = "200ms:2s"`, or consul-template's `{ min = …, max = … }`.
fn wait(value: &Value<'_>) -> Option<Wait> {
    let example = "\"200ms:2s\"";
    if !matches!(value.raw(), DeValue::Table(_)) {
        return value.read(scalar::wait, example);
    }
    let table = value.table(&[&WAIT], example)?;
    let quiet = table.require("min", "\"200ms\"").and_then(|value| value.duration("\"200ms\""));
    let max = match table.get("max") {
        Some(value) => Some(value.duration("\"2s\"")?),
        None => None,
    };
    value.accept(scalar::wait_of(quiet?, max))
}
