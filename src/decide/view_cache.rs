//! The last view of each subject, as read. A roster of a new configuration starts with the current ones; `get --agent`
//! also shows those that may be out of date.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::moment::Moment;
use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, Update, View};
use crate::model::version::Versions;

/// A registry's name and a subject in it.
pub type ViewKey = (Arc<str>, Subject);

/// The last view of each subject.
#[derive(Debug, Clone, Default)]
pub struct ViewCache {
    views: BTreeMap<ViewKey, (View, Versions)>,
    /// The views of registries that are not reached, with the time since when.
    stale: BTreeMap<ViewKey, (View, Moment)>,
}

impl ViewCache {
    /// The current view of a subject with its versions; `None` before the first.
    pub fn view(&self, place: &ViewKey) -> Option<&(View, Versions)> {
        self.views.get(place)
    }

    /// The last view of a subject, and since when it may be out of date; `None` before the first view.
    pub fn last(&self, place: &ViewKey) -> Option<(&View, Option<Moment>)> {
        let current = self.views.get(place).map(|(view, _)| (view, None));
        current.or_else(|| self.stale.get(place).map(|(view, since)| (view, Some(*since))))
    }

    /// The registry is not reached. Its views may be out of date.
    pub fn invalidate(&mut self, now: Moment, registry: &Arc<str>) {
        let lost = self.views.extract_if(.., |(of, _), _| of == registry);
        self.stale.extend(lost.map(|(place, (view, _))| (place, (view, now))));
    }

    /// Applies an update of a subject.
    pub fn take(&mut self, place: ViewKey, update: Update) {
        match update {
            Update::Reset { view, versions, .. } => {
                self.stale.remove(&place);
                self.views.insert(place, (view, versions));
            }
            Update::Changed { changes, versions, .. } => {
                if let Entry::Occupied(mut known) = self.views.entry(place) {
                    let (view, late) = known.get_mut();
                    for change in changes {
                        if let Change::KeyRemoved { key } = &change {
                            late.remove(key);
                        }
                        view.apply(change);
                    }
                    late.extend(versions);
                }
            }
            Update::Suspended | Update::Unreachable(_) | Update::Connected => {}
        }
    }

    /// Keeps only the views for which `wanted` is true.
    pub fn keep(&mut self, wanted: impl Fn(&ViewKey) -> bool) {
        self.views.retain(|place, _| wanted(place));
        self.stale.retain(|place, _| wanted(place));
    }
}
