//! One roster's or key's file: its title, its origin, all that was known when it was begun, and what changed since.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::when::{Dial, When};
use crate::book::line;
use crate::decide::{Course, Kept, Known, Loss, Memo, Moment, Origin, Recalled, Vacant};
use crate::sighting::Zxid;

/// How every file begins, whatever its version.
const TITLE: &str = "rosterd memory ";

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// All of it.
    pub known: Recalled,
    /// When the last line was written.
    pub at: When,
    /// How many bytes the file began with.
    pub whole: usize,
    /// How many were appended.
    pub appended: usize,
    /// The file holds what is known, and ends where a line may be appended.
    pub sound: bool,
}

/// Why nothing is taken from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is not what was written.
    Damaged(String),
    /// It is of this newer version.
    Newer(u32),
}

/// A file's end is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// How many of its bytes are left out.
    bytes: usize,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its last {} bytes are not whole, and left out", self.bytes)
    }
}

/// The second line.
#[derive(Serialize, Deserialize)]
struct Source {
    url: Arc<str>,
    path: Arc<str>,
}

/// Every further line: what became of each path that it names.
#[derive(Serialize, Deserialize)]
struct Entry {
    at: When,
    paths: BTreeMap<Arc<str>, Step>,
}

/// How a path's members changed.
#[derive(Serialize, Deserialize, Default)]
struct Step {
    /// It is no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    put: BTreeMap<Arc<str>, Item>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    course: Option<Track>,
}

/// What differs in a path's course, in seconds since the machine was started.
#[derive(Serialize, Deserialize, Default)]
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
    /// The numbers that are kept for members who left, and since when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    kept: BTreeMap<Arc<str>, (u32, i64)>,
    /// Those that are kept no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    freed: Vec<Arc<str>>,
}

/// One member.
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

impl Page {
    /// A page with nothing on it, and without a file.
    pub fn new(origin: Origin) -> Self {
        Self { known: Recalled::none(origin), at: When::now(), whole: 0, appended: 0, sound: false }
    }

    /// Takes a memo in. Gives the line to append for it; `None` when it says nothing new.
    pub fn take(&mut self, memo: Memo, now: When, dial: &Dial) -> Option<Vec<u8>> {
        if memo.origin != self.known.origin {
            self.known = Recalled::none(memo.origin.clone());
            self.sound = false;
        }
        let changed = |(path, new): (&Arc<str>, &Option<Known>)| {
            let step = step(self.known.paths.get(path), new.as_ref(), dial)?;
            Some((Arc::clone(path), step))
        };
        let mut paths: BTreeMap<_, _> = memo.paths.iter().filter_map(changed).collect();
        paths.extend(memo.held.iter().filter_map(|(path, (stamp, course))| {
            let known = self.known.paths.get(path)?;
            let same = (&known.stamp, &known.course) == (stamp, course);
            let track = Some(track(Some(&known.course), course, dial));
            (!same)
                .then(|| (Arc::clone(path), Step { stamp: stamp.map(|Zxid(it)| it), course: track, ..Step::default() }))
        }));
        if paths.is_empty() {
            return None;
        }
        self.known.take(memo);
        self.at = now.clone();
        Some(line::write(&Entry { at: now, paths }))
    }

    /// The whole file.
    pub fn bytes(&self, dial: &Dial) -> Vec<u8> {
        let Origin { url, path } = self.known.origin.clone();
        let paths = self.known.paths.iter().filter_map(|(path, known)| {
            let step = step(None, Some(known), dial)?;
            Some((Arc::clone(path), step))
        });
        let mut bytes = title();
        bytes.extend(line::write(&Source { url, path }));
        bytes.extend(line::write(&Entry { at: self.at.clone(), paths: paths.collect() }));
        bytes
    }

    /// Reads a file. What is not whole at its end is left out, and told.
    pub fn read(bytes: &[u8], dial: &Dial) -> Result<(Self, Option<Torn>), Refused> {
        let damaged = || Refused::Damaged("it is not what was written".to_owned());
        let mut rest = Rest { bytes, at: 0 };
        check(rest.line().ok_or_else(damaged)?)?;
        let Source { url, path } = rest.line().and_then(line::read).ok_or_else(damaged)?;
        let first: Entry = rest.line().and_then(line::read).ok_or_else(damaged)?;
        let mut page = Self { at: first.at.clone(), whole: rest.at, ..Self::new(Origin { url, path }) };
        page.apply(first, dial).ok_or_else(damaged)?;
        let mut good = rest.at;
        while let Some(entry) = rest.line().and_then(line::read) {
            if page.apply(entry, dial).is_none() {
                break;
            }
            good = rest.at;
        }
        page.appended = good - page.whole;
        page.sound = good == bytes.len();
        let torn = (!page.sound).then(|| Torn { bytes: bytes.len() - good });
        Ok((page, torn))
    }

    /// Takes in what a line says; `None`, and nothing is changed, when that makes no sense.
    fn apply(&mut self, entry: Entry, dial: &Dial) -> Option<()> {
        let mut steps = Vec::new();
        for (path, Step { gone, stamp, put, left, course }) in entry.paths {
            let put: Option<Vec<_>> = put.into_iter().map(|(name, item)| Some((name, item.kept()?))).collect();
            steps.push((path, gone, stamp, put?, left, course));
        }
        for (path, gone, stamp, put, left, track) in steps {
            if gone {
                self.known.paths.remove(&path);
                continue;
            }
            let known = self.known.paths.entry(path).or_default();
            known.stamp = stamp.map(Zxid);
            for name in &left {
                known.members.remove(name);
            }
            known.members.extend(put);
            if let Some(track) = track {
                follow(&mut known.course, track, dial);
            }
        }
        self.at = entry.at;
        Some(())
    }
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
    Some(Step {
        gone: false,
        stamp: new.stamp.map(|Zxid(stamp)| stamp),
        put: put.map(|(name, kept)| (Arc::clone(name), Item::of(kept))).collect(),
        left: left.cloned().collect(),
        course: {
            let old = old.map(|old| &old.course);
            let same = *old.unwrap_or(&Course::default()) == new.course;
            (!same).then(|| track(old, &new.course, dial))
        },
    })
}

/// What leads from one course to another.
fn track(old: Option<&Course>, new: &Course, dial: &Dial) -> Track {
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

/// Takes in what a line says of a course. After another start of the machine its times say nothing: holds, and the time
/// that a number is kept, begin anew, and the most members there were are the baseline.
fn follow(course: &mut Course, track: Track, dial: &Dial) {
    let moment = |up| dial.moment(&track.boot, up);
    let since = |up| moment(up).unwrap_or(Moment::START);
    let sizes: Option<Vec<_>> = track.sizes.iter().map(|(up, size)| Some((moment(*up)?, *size))).collect();
    let most = track.sizes.iter().map(|(_, size)| (Moment::START, *size)).max_by_key(|(_, size)| *size);
    course.sizes = sizes.unwrap_or_else(|| most.into_iter().collect());
    course.loss = track.loss.map(|(to, up)| Loss { to, since: since(up) });
    course.held = track.held.map(since);
    for name in &track.freed {
        course.vacancies.remove(name);
    }
    let kept = track.kept.into_iter().map(|(name, (slot, up))| (name, Vacant { slot, since: since(up) }));
    course.vacancies.extend(kept);
}

impl Item {
    fn of(kept: &Kept) -> Self {
        match std::str::from_utf8(&kept.data) {
            Ok(text) => Self { slot: kept.slot, text: (!text.is_empty()).then(|| text.to_owned()), raw: None },
            Err(_) => Self { slot: kept.slot, text: None, raw: Some(STANDARD.encode(&kept.data)) },
        }
    }

    fn kept(self) -> Option<Kept> {
        let data = match (self.text, self.raw) {
            (text, None) => text.unwrap_or_default().into_bytes(),
            (_, Some(raw)) => STANDARD.decode(raw).ok()?,
        };
        Some(Kept { data: Arc::from(data), slot: self.slot })
    }
}

/// How long ago each roster and key was last confirmed.
#[derive(Serialize, Deserialize)]
pub struct Confirmed {
    at: When,
    /// In seconds, at that moment.
    ages: BTreeMap<Arc<str>, u64>,
}

impl Confirmed {
    /// As it is at this moment.
    pub fn of(at: When, ages: impl Iterator<Item = (Arc<str>, Duration)>) -> Self {
        Self { at, ages: ages.map(|(name, age)| (name, age.as_secs())).collect() }
    }

    /// The whole file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = title();
        bytes.extend(line::write(self));
        bytes
    }

    /// Reads the file.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest { bytes, at: 0 };
        check(rest.line()?).ok()?;
        line::read(rest.line()?)
    }

    /// How long ago this one was confirmed, as of `now`.
    pub fn age(&self, name: &str, now: &When) -> Option<Duration> {
        Some(now.since(&self.at)?.saturating_add(Duration::from_secs(*self.ages.get(name)?)))
    }
}

fn title() -> Vec<u8> {
    format!("{TITLE}{VERSION}\n").into_bytes()
}

/// Checks a title.
fn check(title: &[u8]) -> Result<(), Refused> {
    let version = std::str::from_utf8(title).ok().and_then(|title| title.strip_prefix(TITLE)?.parse().ok());
    match version {
        Some(VERSION) => Ok(()),
        Some(newer) if newer > VERSION => Err(Refused::Newer(newer)),
        _ => Err(Refused::Damaged("it is not what was written".to_owned())),
    }
}

/// What of a file is not read yet.
struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    /// The next whole line, without its end.
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        self.at += end + 1;
        rest.get(..end)
    }
}
