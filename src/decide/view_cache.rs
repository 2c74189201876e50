//! What each registry last said of each subject, as it said it: rosters are made of this, and a roster that comes with
//! a new configuration can be made of it at once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, Members, News, Seen, Versions, View};

/// A registry's name and a subject in it.
pub type Place = (Arc<str>, Subject);

/// The last view of each place.
#[derive(Debug, Clone, Default)]
pub struct ViewCache {
    views: BTreeMap<Place, (View, Versions)>,
}

impl ViewCache {
    /// The last view of a place, and how late it is; `None` before the first.
    pub fn view(&self, place: &Place) -> Option<&(View, Versions)> {
        self.views.get(place)
    }

    /// Takes the news of one place in.
    pub fn take(&mut self, place: Place, news: News) {
        match news {
            News::Reset { view, stamps, .. } => {
                self.views.insert(place, (view, stamps));
            }
            News::Update { changes, stamps, .. } => {
                if let Entry::Occupied(mut known) = self.views.entry(place) {
                    let (view, late) = known.get_mut();
                    for change in changes {
                        if let Change::KeyLeft { key } = &change {
                            late.remove(key);
                        }
                        apply(view, change);
                    }
                    late.extend(stamps);
                }
            }
            News::Suspended | News::Away { .. } => {}
        }
    }

    /// Forgets every place that nobody asks for.
    pub fn keep(&mut self, wanted: impl Fn(&Place) -> bool) {
        self.views.retain(|place, _| wanted(place));
    }
}

/// Applies one difference. One that does not fit the view is left out: a `Reset` is on its way then.
fn apply(view: &mut View, change: Change) {
    match (view, change) {
        (View::Members(Seen::Present(members)), Change::Put { key: None, name, reading }) => {
            members.insert(name, reading);
        }
        (View::Members(Seen::Present(members)), Change::Left { key: None, name }) => {
            members.remove(&name);
        }
        (View::Keyed(Seen::Present(keys)), Change::Put { key: Some(key), name, reading }) => {
            if let Some(members) = present(keys, &key) {
                members.insert(name, reading);
            }
        }
        (View::Keyed(Seen::Present(keys)), Change::Left { key: Some(key), name }) => {
            if let Some(members) = present(keys, &key) {
                members.remove(&name);
            }
        }
        (View::Keyed(Seen::Present(keys)), Change::Key { key, members }) => {
            keys.insert(key, members);
        }
        (View::Keyed(Seen::Present(keys)), Change::KeyLeft { key }) => {
            keys.remove(&key);
        }
        _ => {}
    }
}

fn present<'a>(keys: &'a mut BTreeMap<Arc<str>, Seen<Members>>, key: &Arc<str>) -> Option<&'a mut Members> {
    match keys.get_mut(key) {
        Some(Seen::Present(members)) => Some(members),
        _ => None,
    }
}
