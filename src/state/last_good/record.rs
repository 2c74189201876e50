//! The lines of a roster's log: its origin, or changes to its paths.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::timestamp::{BootClock, Timestamp};
use crate::decide::{
    GuardHistory, Moment, Origin, ReservedSlot, SavedMember, SavedPath, SavedRoster, SavedUpdate, UnconfirmedLoss,
};
use crate::model::version::Zxid;

/// One line. The first has the origin; all others have a time and paths.
#[derive(Serialize, Deserialize)]
pub struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<Arc<str>>,
    /// When it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The change to each path.
    #[serde(default)]
    pub paths: BTreeMap<Arc<str>, PathChange>,
}

/// A change to one path.
#[derive(Serialize, Deserialize, Default)]
pub struct PathChange {
    /// The path is removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    put: BTreeMap<Arc<str>, Member>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    course: Option<HistoryChange>,
}

/// A change to a path's guard history, in seconds since boot.
#[derive(Serialize, Deserialize)]
struct HistoryChange {
    /// The boot that the seconds count from.
    boot: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sizes: Vec<(i64, usize)>,
    /// The size after a loss, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    loss: Option<(usize, i64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<i64>,
    /// Slots reserved for departed members, and since when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    kept: BTreeMap<Arc<str>, (u32, i64)>,
    /// Names whose slots are no longer reserved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    freed: Vec<Arc<str>>,
}

/// One member.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Item", into = "Item")]
struct Member(SavedMember);

/// Its serialized form.
#[derive(Serialize, Deserialize)]
struct Item {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slot: Option<u32>,
    /// Its data, if that is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Its data in base64, if that is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
}

impl Line {
    /// A line of changes.
    pub fn change(at: Timestamp, paths: BTreeMap<Arc<str>, PathChange>) -> Self {
        Self { url: None, path: None, at: Some(at), paths }
    }

    /// The roster's origin, in the line that begins a log.
    pub fn origin(&self) -> Option<Origin> {
        Some(Origin { url: self.url.clone()?, path: self.path.clone()? })
    }
}

/// All that is known, in the fewest lines.
pub fn snapshot(known: &SavedRoster, at: &Timestamp, clock: &BootClock) -> Vec<Line> {
    let Origin { url, path } = known.origin.clone();
    let first = Line { url: Some(url), path: Some(path), at: None, paths: BTreeMap::new() };
    let path_change =
        |(path, known): (&Arc<str>, &SavedPath)| Some((Arc::clone(path), path_change(None, Some(known), clock)?));
    vec![first, Line::change(at.clone(), known.paths.iter().filter_map(path_change).collect())]
}

/// The changes that lead to a saved roster.
pub fn path_changes(old: &SavedRoster, saved: &SavedUpdate, clock: &BootClock) -> BTreeMap<Arc<str>, PathChange> {
    let changed = |(path, new): (&Arc<str>, &Option<SavedPath>)| {
        Some((Arc::clone(path), path_change(old.paths.get(path), new.as_ref(), clock)?))
    };
    let held = saved.held.iter().filter_map(|(path, (stamp, course))| {
        let known = old.paths.get(path).filter(|known| (&known.version, &known.guard_history) != (stamp, course))?;
        let course = Some(history_change(Some(&known.guard_history), course, clock));
        Some((Arc::clone(path), PathChange { stamp: stamp.map(|Zxid(stamp)| stamp), course, ..PathChange::default() }))
    });
    saved.paths.iter().filter_map(changed).chain(held).collect()
}

/// The change from one state of a path to another; `None` if there is none.
fn path_change(old: Option<&SavedPath>, new: Option<&SavedPath>, clock: &BootClock) -> Option<PathChange> {
    if old == new {
        return None;
    }
    let Some(new) = new else {
        return Some(PathChange { gone: true, ..PathChange::default() });
    };
    let was = |name: &Arc<str>| old.and_then(|old| old.members.get(name));
    let put = new.members.iter().filter(|(name, kept)| was(name) != Some(kept));
    let left = old.into_iter().flat_map(|old| old.members.keys()).filter(|name| !new.members.contains_key(*name));
    let course = old.map(|old| &old.guard_history);
    let same_course = *course.unwrap_or(&GuardHistory::default()) == new.guard_history;
    Some(PathChange {
        gone: false,
        stamp: new.version.map(|Zxid(stamp)| stamp),
        put: put.map(|(name, kept)| (Arc::clone(name), Member(kept.clone()))).collect(),
        left: left.cloned().collect(),
        course: (!same_course).then(|| history_change(course, &new.guard_history, clock)),
    })
}

impl PathChange {
    /// Applies the change to what is known of its path.
    pub fn apply(self, path: Arc<str>, known: &mut SavedRoster, clock: &BootClock) {
        if self.gone {
            known.paths.remove(&path);
            return;
        }
        let known = known.paths.entry(path).or_default();
        known.version = self.stamp.map(Zxid);
        for name in &self.left {
            known.members.remove(name);
        }
        known.members.extend(self.put.into_iter().map(|(name, Member(kept))| (name, kept)));
        if let Some(history_change) = self.course {
            history_change.apply(&mut known.guard_history, clock);
        }
    }
}

/// The change from one guard history to another.
fn history_change(old: Option<&GuardHistory>, new: &GuardHistory, clock: &BootClock) -> HistoryChange {
    let none = BTreeMap::new();
    let before = old.map_or(&none, |old| &old.reserved_slots);
    let kept = new.reserved_slots.iter().filter(|(name, reserved)| before.get(*name) != Some(reserved));
    HistoryChange {
        boot: clock.boot().to_owned(),
        sizes: new.sizes.iter().map(|(since, size)| (clock.up(*since), *size)).collect(),
        loss: new.loss.map(|UnconfirmedLoss { to, since }| (to, clock.up(since))),
        held: new.held.map(|since| clock.up(since)),
        kept: kept.map(|(name, reserved)| (Arc::clone(name), (reserved.slot, clock.up(reserved.since)))).collect(),
        freed: before.keys().filter(|name| !new.reserved_slots.contains_key(*name)).cloned().collect(),
    }
}

impl HistoryChange {
    /// Applies the change to a guard history. Times from an earlier boot mean nothing: holds and slot reservations
    /// start again, and the largest size is the baseline.
    fn apply(self, course: &mut GuardHistory, clock: &BootClock) {
        let moment = |up| clock.moment(&self.boot, up);
        let since = |up| moment(up).unwrap_or(Moment::START);
        let sizes: Option<Vec<_>> = self.sizes.iter().map(|(up, size)| Some((moment(*up)?, *size))).collect();
        let most = self.sizes.iter().map(|(_, size)| (Moment::START, *size)).max_by_key(|(_, size)| *size);
        course.sizes = sizes.unwrap_or_else(|| most.into_iter().collect());
        course.loss = self.loss.map(|(to, up)| UnconfirmedLoss { to, since: since(up) });
        course.held = self.held.map(since);
        for name in &self.freed {
            course.reserved_slots.remove(name);
        }
        let kept = self.kept.into_iter().map(|(name, (slot, up))| (name, ReservedSlot { slot, since: since(up) }));
        course.reserved_slots.extend(kept);
    }
}

impl From<Member> for Item {
    fn from(Member(SavedMember { data, slot }): Member) -> Self {
        match std::str::from_utf8(&data) {
            Ok(text) => Self { slot, text: (!text.is_empty()).then(|| text.to_owned()), raw: None },
            Err(_) => Self { slot, text: None, raw: Some(STANDARD.encode(&data)) },
        }
    }
}

impl TryFrom<Item> for Member {
    type Error = base64::DecodeError;

    fn try_from(Item { slot, text, raw }: Item) -> Result<Self, Self::Error> {
        let data = match raw {
            Some(raw) => STANDARD.decode(raw)?,
            None => text.unwrap_or_default().into_bytes(),
        };
        Ok(Self(SavedMember { data: Arc::from(data), slot }))
    }
}
