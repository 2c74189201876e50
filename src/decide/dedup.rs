//! Nodes that name the same host and port: one server that registered more than once, and one backend of a load
//! balancer. The first by name stands for all of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::member::Member;

#[cfg(test)]
mod tests;

/// Members by the names of their nodes.
pub type ByName = BTreeMap<Arc<str>, Arc<Member>>;

/// Each node that names what one before it names, with that one. A member without a host or a port is like no other.
pub fn duplicates(members: &ByName) -> BTreeMap<Arc<str>, Arc<str>> {
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

/// The members without those.
pub fn distinct(members: Cow<'_, ByName>) -> Cow<'_, ByName> {
    let duplicates = duplicates(&members);
    if duplicates.is_empty() {
        return members;
    }
    let mut kept = members.into_owned();
    kept.retain(|name, _| !duplicates.contains_key(name));
    Cow::Owned(kept)
}
