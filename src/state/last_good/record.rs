//! What a line of a roster's log says: where the roster is from, or what became of its paths.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::when::{Dial, When};
use crate::decide::{GuardHistory, Kept, Known, Loss, Moment, Origin, Recalled, ReservedSlot, SavedRoster};
use crate::model::version::Zxid;

/// One line. The first has the origin, and all others a time and paths.
#[derive(Serialize, Deserialize)]
pub struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<Arc<str>>,
    /// When it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<When>,
    /// What became of each path that it names.
    #[serde(default)]
    pub paths: BTreeMap<Arc<str>, Step>,
}

/// How a path's members changed.
#[derive(Serialize, Deserialize, Default)]
pub struct Step {
    /// It is no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    put: BTreeMap<Arc<str>, Member>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    course: Option<Track>,
}

/// What differs in a path's guard history, in seconds since the machine was started.
#[derive(Serialize, Deserialize)]
struct Track {
    /// Which start of the machine.
    boot: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sizes: Vec<(i64, usize)>,
    /// How many were left, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    loss: Option<(usize, i64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<i64>,
    /// The slots that are reserved for members that left, and since when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    kept: BTreeMap<Arc<str>, (u32, i64)>,
    /// Those that are reserved no longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    freed: Vec<Arc<str>>,
}

/// One member.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Item", into = "Item")]
struct Member(Kept);

/// The same in a line.
#[derive(Serialize, Deserialize)]
struct Item {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slot: Option<u32>,
    /// Its data, where that is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Its data in base64, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
}

impl Line {
    /// What changed, and when.
    pub fn change(at: When, paths: BTreeMap<Arc<str>, Step>) -> Self {
        Self { url: None, path: None, at: Some(at), paths }
    }

    /// Where the roster is from, in the line that begins it anew.
    pub fn origin(&self) -> Option<Origin> {
        Some(Origin { url: self.url.clone()?, path: self.path.clone()? })
    }
}

/// All that is known, in as few lines as it takes.
pub fn snapshot(known: &Recalled, at: &When, dial: &Dial) -> Vec<Line> {
    let Origin { url, path } = known.origin.clone();
    let first = Line { url: Some(url), path: Some(path), at: None, paths: BTreeMap::new() };
    let step = |(path, known): (&Arc<str>, &Known)| Some((Arc::clone(path), step(None, Some(known), dial)?));
    vec![first, Line::change(at.clone(), known.paths.iter().filter_map(step).collect())]
}

/// What a memo changes.
pub fn steps(old: &Recalled, memo: &SavedRoster, dial: &Dial) -> BTreeMap<Arc<str>, Step> {
    let changed = |(path, new): (&Arc<str>, &Option<Known>)| {
        Some((Arc::clone(path), step(old.paths.get(path), new.as_ref(), dial)?))
    };
    let held = memo.held.iter().filter_map(|(path, (stamp, course))| {
        let known = old.paths.get(path).filter(|known| (&known.stamp, &known.course) != (stamp, course))?;
        let course = Some(track(Some(&known.course), course, dial));
        Some((Arc::clone(path), Step { stamp: stamp.map(|Zxid(stamp)| stamp), course, ..Step::default() }))
    });
    memo.paths.iter().filter_map(changed).chain(held).collect()
}

/// What leads from one view of a path to another; `None` when nothing does.
fn step(old: Option<&Known>, new: Option<&Known>, dial: &Dial) -> Option<Step> {
    if old == new {
        return None;
    }
    let Some(new) = new else {
        return Some(Step { gone: true, ..Step::default() });
    };
    let was = |name: &Arc<str>| old.and_then(|old| old.members.get(name));
    let put = new.members.iter().filter(|(name, kept)| was(name) != Some(kept));
    let left = old.into_iter().flat_map(|old| old.members.keys()).filter(|name| !new.members.contains_key(*name));
    let course = old.map(|old| &old.course);
    let same_course = *course.unwrap_or(&GuardHistory::default()) == new.course;
    Some(Step {
        gone: false,
        stamp: new.stamp.map(|Zxid(stamp)| stamp),
        put: put.map(|(name, kept)| (Arc::clone(name), Member(kept.clone()))).collect(),
        left: left.cloned().collect(),
        course: (!same_course).then(|| track(course, &new.course, dial)),
    })
}

impl Step {
    /// Applies it to what is known of its path.
    pub fn apply(self, path: Arc<str>, known: &mut Recalled, dial: &Dial) {
        if self.gone {
            known.paths.remove(&path);
            return;
        }
        let known = known.paths.entry(path).or_default();
        known.stamp = self.stamp.map(Zxid);
        for name in &self.left {
            known.members.remove(name);
        }
        known.members.extend(self.put.into_iter().map(|(name, Member(kept))| (name, kept)));
        if let Some(track) = self.course {
            track.apply(&mut known.course, dial);
        }
    }
}

/// What leads from one guard history to another.
fn track(old: Option<&GuardHistory>, new: &GuardHistory, dial: &Dial) -> Track {
    let none = BTreeMap::new();
    let before = old.map_or(&none, |old| &old.vacancies);
    let kept = new.vacancies.iter().filter(|(name, vacant)| before.get(*name) != Some(vacant));
    Track {
        boot: dial.boot().to_owned(),
        sizes: new.sizes.iter().map(|(since, size)| (dial.up(*since), *size)).collect(),
        loss: new.loss.map(|Loss { to, since }| (to, dial.up(since))),
        held: new.held.map(|since| dial.up(since)),
        kept: kept.map(|(name, vacant)| (Arc::clone(name), (vacant.slot, dial.up(vacant.since)))).collect(),
        freed: before.keys().filter(|name| !new.vacancies.contains_key(*name)).cloned().collect(),
    }
}

impl Track {
    /// Applies it to a guard history. After another start of the machine its times say nothing: holds, and the time
    /// that a slot is reserved, begin anew, and the most members there were are the baseline.
    fn apply(self, course: &mut GuardHistory, dial: &Dial) {
        let moment = |up| dial.moment(&self.boot, up);
        let since = |up| moment(up).unwrap_or(Moment::START);
        let sizes: Option<Vec<_>> = self.sizes.iter().map(|(up, size)| Some((moment(*up)?, *size))).collect();
        let most = self.sizes.iter().map(|(_, size)| (Moment::START, *size)).max_by_key(|(_, size)| *size);
        course.sizes = sizes.unwrap_or_else(|| most.into_iter().collect());
        course.loss = self.loss.map(|(to, up)| Loss { to, since: since(up) });
        course.held = self.held.map(since);
        for name in &self.freed {
            course.vacancies.remove(name);
        }
        let kept = self.kept.into_iter().map(|(name, (slot, up))| (name, ReservedSlot { slot, since: since(up) }));
        course.vacancies.extend(kept);
    }
}

impl From<Member> for Item {
    fn from(Member(Kept { data, slot }): Member) -> Self {
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
        Ok(Self(Kept { data: Arc::from(data), slot }))
    }
}
