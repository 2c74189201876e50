//! `each` and `on_gone`: a template with one file for each key of a roster.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::model::node_path::Subject;
use crate::text::nearest::nearest;

use super::dest::{MAX_NAME, name_fits};
use super::problem::ValueError;
use super::table::{Table, Value};
use super::{RosterConfig, TemplateConfig};

#[cfg(test)]
mod tests;

/// The placeholder for the key in `dest`.
const KEY_PLACEHOLDER: &str = "{{ key }}";

/// The additional variables of a template with `each`.
pub const LOCAL_NAMES: [&str; 2] = ["key", "members"];

/// The `each` of a template: a roster with one file for each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Each {
    /// The name of the template. The name of a file adds the key.
    pub template: Arc<str>,
    /// The name of the roster; its path has a `*`.
    pub roster: Arc<str>,
    /// What to do with the file when its key is removed.
    pub on_gone: OnGone,
    /// The key of this file; `None` for the template itself.
    pub key: Option<Arc<str>>,
    /// The selected keys; all if `None`.
    pub only: Option<BTreeSet<Arc<str>>>,
}

impl Each {
    /// Every key of a roster.
    pub fn new(template: &str, roster: &str, on_gone: OnGone) -> Self {
        Self { template: Arc::from(template), roster: Arc::from(roster), on_gone, key: None, only: None }
    }

    /// Whether a key is selected.
    #[must_use]
    pub fn is_wanted(&self, key: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(key))
    }
}

/// What to do with the file when its key is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnGone {
    /// Remove it.
    Remove,
    /// Keep it with the last known-good members.
    Keep,
}

impl TemplateConfig {
    /// The `each` of the template itself; `None` for a single file.
    #[must_use]
    pub fn pattern(&self) -> Option<&Each> {
        self.each.as_ref().filter(|each| each.key.is_none())
    }

    /// The `each` and the key of this file; `None` if it is not one of several.
    #[must_use]
    pub fn file_of(&self) -> Option<(&Each, &Arc<str>)> {
        let each = self.each.as_ref()?;
        Some((each, each.key.as_ref()?))
    }

    /// The template of one key's file.
    ///
    /// # Errors
    /// The key cannot be a file name.
    pub fn for_key(&self, key: &Arc<str>) -> Result<Self, String> {
        check_key(key)?;
        let dest = dest_for_key(&self.dest, key);
        name_fits(&dest, &self.placing).map_err(|wrong| wrong.message)?;
        Ok(Self {
            name: Arc::from(format!("{}[{key}]", self.name)),
            each: self.each.clone().map(|each| Each { key: Some(Arc::clone(key)), ..each }),
            reload: self.reload.clone().map(|reload| reload.filled(&dest)),
            verify: self.verify.as_ref().map(|verify| verify.filled(&dest)),
            dest,
            ..self.clone()
        })
    }
}

/// Checks that a key is a plain file name. It comes from the registry, and must not become a path, a hidden file or
/// text that is special to a shell.
fn check_key(key: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@+=,-".contains(&byte);
    if key.is_empty() || key.len() > MAX_NAME {
        Err(format!("a file name must have 1 to {MAX_NAME} bytes"))
    } else if key.starts_with('.') {
        Err("it begins with a dot".to_owned())
    } else if !key.bytes().all(plain) {
        Err("a file name can contain only A-Z a-z 0-9 . _ : @ + = , -".to_owned())
    } else {
        Ok(())
    }
}

/// Substitutes the key in a destination.
fn dest_for_key(dest: &Path, key: &str) -> PathBuf {
    match dest.file_name().and_then(|name| name.to_str()) {
        Some(name) => dest.with_file_name(name.replace(KEY_PLACEHOLDER, key)),
        None => dest.to_owned(),
    }
}

/// A sample destination, for checks of its characters.
pub fn example(dest: &Path) -> PathBuf {
    dest_for_key(dest, "key")
}

/// Reads `each` and `on_gone`. `complete` says whether `rosters` is complete.
pub fn each(table: &Table<'_>, rosters: &[Arc<RosterConfig>], complete: bool) -> Option<Each> {
    let on_gone = table.get("on_gone");
    let Some(value) = table.get("each") else {
        if let Some(on_gone) = on_gone {
            let hint = "remove `on_gone`; it applies only to the files of a template with `each`";
            on_gone.reject(ValueError::new("`on_gone` needs `each`", hint));
        }
        return None;
    };
    let choices = [("remove", OnGone::Remove), ("keep", OnGone::Keep)];
    let on_gone = on_gone.and_then(|value| value.choice(&choices)).unwrap_or(OnGone::Remove);
    let roster = value.text("\"services\"")?;
    let keyed = |roster: &&Arc<RosterConfig>| matches!(roster.subject, Subject::Keyed { .. });
    match rosters.iter().find(|known| &*known.name == roster) {
        Some(known) if keyed(&known) => {}
        Some(known) => {
            let message = format!("roster {roster} has no keys: its path {} has no *", known.subject);
            value.reject(ValueError::new(message, "name a roster whose path has a *, as in \"/services/*\""));
        }
        None if !complete => {}
        None => {
            let names: Vec<&str> = rosters.iter().filter(keyed).map(|known| &*known.name).collect();
            let hint = match nearest(roster, names.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None if names.is_empty() => "add a [[roster]] whose path has a *, as in \"/services/*\"".to_owned(),
                None => format!("known rosters: {}", names.join(", ")),
            };
            value.reject(ValueError::new(format!("there is no roster {roster:?}"), hint));
        }
    }
    Some(Each::new("", roster, on_gone))
}

/// Checks that `dest` has the key in its file name and nowhere else.
pub fn check_dest(value: &Value<'_>, dest: &Path) -> Option<()> {
    let name = dest.file_name().is_some_and(|name| name.to_string_lossy().contains(KEY_PLACEHOLDER));
    let above = dest.parent().is_some_and(|parent| parent.to_string_lossy().contains(KEY_PLACEHOLDER));
    let hint = "write {{ key }} in the file name, as in \"/etc/x/{{ key }}.cfg\"";
    if above {
        value.reject(ValueError::new("{{ key }} must not be in a directory name of `dest`", hint));
    } else if !name {
        value.reject(ValueError::new("`dest` has no {{ key }}, so all keys would share one file", hint));
    }
    (name && !above).then_some(())
}
