//! Two changes of one object: keys that only one of them touched are both kept.

use super::json::{Json, Object};

#[cfg(test)]
mod tests;

/// A key that both changes touched, to different values.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// The key.
    pub key: String,
    /// Its value before both; `None` if there was none.
    pub base: Option<Json>,
    /// Its value in this change; `None` if it removes the key.
    pub ours: Option<Json>,
    /// Its value in the other change.
    pub theirs: Option<Json>,
}

/// The other change with this one on top of it.
///
/// # Errors
/// Every key that both touched, unless both did the same.
pub fn merge(base: &Object, ours: &Object, theirs: &Object) -> Result<Object, Vec<Conflict>> {
    let mut merged = theirs.clone();
    let mut conflicts = Vec::new();
    let removed = base.keys().filter(|key| !ours.contains_key(*key));
    for key in ours.keys().chain(removed) {
        let (before, mine, other) = (base.get(key), ours.get(key), theirs.get(key));
        if mine == before || mine == other {
            continue;
        }
        if other != before {
            let (base, ours, theirs) = (before.cloned(), mine.cloned(), other.cloned());
            conflicts.push(Conflict { key: key.clone(), base, ours, theirs });
            continue;
        }
        match mine {
            Some(value) => _ = merged.insert(key.clone(), value.clone()),
            None => _ = merged.shift_remove(key),
        }
    }
    if conflicts.is_empty() { Ok(merged) } else { Err(conflicts) }
}
