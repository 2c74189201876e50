//! Nodes that name the same host and port: one server that registered more than once, and one backend of a load
//! balancer. The first by name stands for all of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::member::Member;

/// Members by the names of their nodes.
pub type ByName = BTreeMap<Arc<str>, Arc<Member>>;

/// Each node that names what one before it names, with that one. A member without a host or a port is like no other.
pub fn doubles(members: &ByName) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut first: HashMap<(&str, u16), &Arc<str>> = HashMap::with_capacity(members.len());
    let mut doubles = BTreeMap::new();
    for (name, member) in members {
        if let Some(endpoint) = member.endpoint() {
            let other = *first.entry(endpoint).or_insert(name);
            if other != name {
                doubles.insert(Arc::clone(name), Arc::clone(other));
            }
        }
    }
    doubles
}

/// The members without those.
pub fn distinct(members: Cow<'_, ByName>) -> Cow<'_, ByName> {
    let doubles = doubles(&members);
    if doubles.is_empty() {
        return members;
    }
    let mut kept = members.into_owned();
    kept.retain(|name, _| !doubles.contains_key(name));
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Fields;

    #[test]
    fn the_first_by_name_stands_for_all_of_one_address() {
        let member = |name: &str, host: Option<&str>, port| {
            let fields = Fields { name: name.into(), host: host.map(str::to_owned), port, ..Fields::default() };
            (Arc::from(name), Arc::new(Member::new(fields).unwrap()))
        };
        let all = ByName::from([
            member("n_03", Some("a"), Some(80)),
            member("n_01", Some("a"), Some(80)),
            member("n_02", Some("a"), Some(80)),
            member("n_04", Some("a"), Some(81)),
            member("n_05", Some("b"), Some(80)),
            member("n_06", None, Some(80)),
            member("n_07", None, Some(80)),
            member("n_08", Some("a"), None),
            member("n_09", Some("a"), None),
        ]);
        assert_eq!(
            doubles(&all),
            BTreeMap::from([("n_02".into(), "n_01".into()), ("n_03".into(), Arc::<str>::from("n_01"))])
        );
        let kept = distinct(Cow::Borrowed(&all));
        let kept: Vec<&str> = kept.keys().map(|name| &**name).collect();
        assert_eq!(kept, ["n_01", "n_04", "n_05", "n_06", "n_07", "n_08", "n_09"]);
    }
}
