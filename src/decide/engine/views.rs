//! The views that the rosters follow, as they were read: for `get --agent`.

use std::sync::Arc;

use super::Engine;
use crate::decide::moment::Moment;
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Seen, View};

/// The last view of a path that a roster follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedView {
    /// The view; `None` before the first.
    pub view: Option<View>,
    /// Since when it may be out of date; `None` if it is current.
    pub stale_since: Option<Moment>,
    /// Why the registry is not reached.
    pub reason: Option<String>,
}

impl Engine {
    /// The last view of a subject in a registry; `None` if no roster follows it. A path below a `*` is followed, too.
    pub fn followed(&self, registry: &Arc<str>, subject: &Subject) -> Option<FollowedView> {
        let exact = (Arc::clone(registry), subject.clone());
        let of_keys = || match subject {
            Subject::Members(path) => self.subjects.iter().find_map(|place| {
                let key = key_of(&place.1, path).filter(|_| place.0 == *registry)?;
                Some((place, Some(key)))
            }),
            Subject::Keyed { .. } | Subject::Node(_) | Subject::Mapped { .. } => None,
        };
        let (place, key) = self.subjects.get(&exact).map(|place| (place, None)).or_else(of_keys)?;
        let reason = self.unreachable.get(registry).map(|unreachable| unreachable.reason.clone());
        let Some((view, stale_since)) = self.views.last(place) else {
            return Some(FollowedView { view: None, stale_since: None, reason });
        };
        let view = match (view, key) {
            (View::Keyed(Seen::Present(keys)), Some(key)) => {
                View::Members(keys.get(key).cloned().unwrap_or(Seen::Absent))
            }
            (View::Keyed(Seen::Absent), Some(_)) => View::Members(Seen::Absent),
            (View::Keyed(Seen::Unreadable(why)), Some(_)) => View::Members(Seen::Unreadable(Arc::clone(why))),
            (view, _) => view.clone(),
        };
        Some(FollowedView { view: Some(view), stale_since, reason })
    }
}

/// The key of a keyed subject whose members are the children of this path.
fn key_of<'a>(subject: &Subject, path: &'a NodePath) -> Option<&'a str> {
    let Subject::Keyed { base, below, .. } = subject else { return None };
    let segments = base.segments_below(path.as_str())?;
    let (key, rest) = segments.split_first()?;
    let is_below = rest.len() == below.len() && rest.iter().zip(below).all(|(one, other)| **one == **other);
    (is_below && subject.is_key(key)).then_some(*key)
}
