//! What each registry last said of each subject, as it said it: rosters are made of this, and a roster that comes with
//! a new configuration can be made of it at once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, Update, View};
use crate::model::version::Versions;

/// A registry's name and a subject in it.
pub type ViewKey = (Arc<str>, Subject);

/// The last view of each place.
#[derive(Debug, Clone, Default)]
pub struct ViewCache {
    views: BTreeMap<ViewKey, (View, Versions)>,
}

impl ViewCache {
    /// The last view of a place, and how late it is; `None` before the first.
    pub fn view(&self, place: &ViewKey) -> Option<&(View, Versions)> {
        self.views.get(place)
    }

    /// Records an update of one place.
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
            Update::Suspended | Update::Unreachable { .. } => {}
        }
    }

    /// Forgets every place that nobody asks for.
    pub fn keep(&mut self, wanted: impl Fn(&ViewKey) -> bool) {
        self.views.retain(|place, _| wanted(place));
    }
}
