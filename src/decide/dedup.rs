//! Nodes with the same host and port. They are one server that registered more than once, so the first by name
//! represents all of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::member::Member;

#[cfg(test)]
mod tests;

/// Members by node name.
pub type ByName = BTreeMap<Arc<str>, Arc<Member>>;

/// Nodes with the host and port of an earlier one, each with that one's name.
pub type Duplicates = BTreeMap<Arc<str>, Arc<str>>;

/// The duplicates among these members. A member without a host or a port has none.
pub fn duplicates(members: &ByName) -> Duplicates {
    let mut first: HashMap<(&str, u16), &Arc<str>> = HashMap::with_capacity(members.len());
    let mut duplicates = BTreeMap::new();
    for (name, member) in members {
        if let Some(endpoint) = member.endpoint() {
            let other = *first.entry(endpoint).or_insert(name);
            if other != name {
                duplicates.insert(Arc::clone(name), Arc::clone(other));
            }
        }
    }
    duplicates
}

/// The members without duplicates.
pub fn distinct(members: Cow<'_, ByName>) -> Cow<'_, ByName> {
    let duplicates = duplicates(&members);
    if duplicates.is_empty() {
        return members;
    }
    let mut kept = members.into_owned();
    kept.retain(|name, _| !duplicates.contains_key(name));
    Cow::Owned(kept)
}
