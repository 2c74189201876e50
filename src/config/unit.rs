//! `unit`: templates that are replaced together or not at all.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::text::nearest::nearest;

use super::command::shell_path;
use super::placing::{Method, Placing};
use super::problem::ValueError;
use super::table::Table;
use super::{TemplateConfig, scalar};

/// The paths of the files of a unit, by template: the destinations, or where a check finds the new files.
pub type UnitPaths = BTreeMap<Arc<str>, PathBuf>;

/// The variable with [`UnitPaths`] in commands and templates.
pub const STAGED: &str = "staged";

/// Reads `unit`: templates that are replaced together or not at all.
pub fn unit(table: &Table<'_>, placing: &Placing) -> Option<Arc<str>> {
    let value = table.get("unit")?;
    let text = value.text("\"edge\"")?;
    if !scalar::is_identifier(text) {
        let hint = "write letters, digits and _, not beginning with a digit, as in \"edge\"";
        value.reject(ValueError::new(format!("{text:?} is not a valid unit name"), hint));
        return None;
    }
    if table.get("each").is_some() {
        let hint = "remove one of them; the files of a template with `each` are added and removed one by one";
        value.reject(ValueError::new("`unit` cannot be combined with `each`", hint));
        return None;
    }
    if table.get("block").is_some() {
        let hint = "remove one of them: restoring the file would undo what other programs wrote to it in the meantime";
        value.reject(ValueError::new("`unit` cannot be combined with `block`", hint));
        return None;
    }
    if placing.write != Method::Atomic {
        let hint = "remove `write`: a file written in place cannot be restored if another template of the unit fails";
        value.reject(ValueError::new("`unit` cannot be combined with a `write` other than \"atomic\"", hint));
        return None;
    }
    Some(Arc::from(text))
}

/// Checks the templates that `check_cmd` names with `staged`. `templates` has every template.
pub fn check_staged(templates: &[(&Table<'_>, TemplateConfig)]) {
    for (table, template) in templates {
        let (Some(value), Some(check)) = (table.get("check_cmd"), &template.check) else { continue };
        for (part, name) in check.staged() {
            let named = templates.iter().map(|(_, other)| other).find(|other| *other.name == *name);
            let of_unit = named.filter(|named| template.unit.is_some() && named.unit == template.unit);
            match (of_unit, &template.unit) {
                (Some(named), _) => _ = value.accept(shell_path(check, "check_cmd", &named.dest)),
                (None, Some(unit)) => {
                    let names = templates.iter().map(|(_, other)| other).filter(|other| other.unit == template.unit);
                    value.reject_part(part, not_in_unit(unit, name, name, names.map(|other| &*other.name)));
                }
                (None, None) if table.get("unit").is_some() => {}
                (None, None) => value.reject_part(part, ValueError::new("`staged` needs `unit`", NEEDS_UNIT)),
            }
        }
    }
}

/// The hint where a template without a unit uses `staged`.
pub const NEEDS_UNIT: &str = "give this template, and the one that it names, the same `unit`";

/// The error for a name that no template of the unit has. `written` is all that was written after `staged`.
pub fn not_in_unit<'a>(unit: &str, name: &str, written: &str, names: impl Iterator<Item = &'a str>) -> ValueError {
    let names: Vec<&str> = names.collect();
    let known = || names.iter().map(|name| format!("staged['{name}']")).collect::<Vec<_>>().join(", ");
    let hint = match nearest(written, names.iter().copied()) {
        Some(near) => format!("did you mean staged['{near}']?"),
        None => format!("available: {}", known()),
    };
    ValueError::new(format!("unit {unit} has no template {name:?}"), hint)
}
