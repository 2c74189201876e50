//! The last view of each subject, as read. A roster of a new configuration starts with it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, Update, View};
use crate::model::version::Versions;

/// A registry's name and a subject in it.
pub type ViewKey = (Arc<str>, Subject);

/// The last view of each subject.
#[derive(Debug, Clone, Default)]
pub struct ViewCache {
    views: BTreeMap<ViewKey, (View, Versions)>,
}

impl ViewCache {
    /// The last view of a subject with its versions; `None` before the first.
    pub fn view(&self, place: &ViewKey) -> Option<&(View, Versions)> {
        self.views.get(place)
    }

    /// Applies an update of a subject.
    pub fn take(&mut self, place: ViewKey, update: Update) {
        match update {
            Update::Reset { view, versions, .. } => {
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
    }
}
