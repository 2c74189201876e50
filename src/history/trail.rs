//! The entries of the history, in memory and in the state directory, and how many of them are kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::contents::Contents;
use super::entry::{Change, Draft, Entry, FOUND, FileChange, Generation, MAX_DIFF, millis};
use super::no_content::NoContent;
use crate::act::files::unified_diff;
use crate::config::HistoryConfig;
use crate::decide::Event;
use crate::error::Exit;
use crate::log::emit;
use crate::model::digest::sha256;
use crate::state::append_log::{self, Access, AppendLog, Header};
use crate::state::journal::ModeAndOwner;

#[cfg(test)]
mod tests;

/// The directory in the state directory.
const DIRECTORY: &str = "history";

/// The file of the entries in it.
const NAME: &str = "entries";

const HEADER: Header = Header { about: "history", version: 1, synced: false, snapshot: 0 };

/// The most entries, besides those of generations whose content is kept.
const MAX_ENTRIES: usize = 2000;

/// The most bytes of these entries.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The most generations whose content is kept, of all templates together.
const MAX_GENERATIONS: usize = 10_000;

/// The most refused contents that wait for their events.
const MAX_REFUSED: usize = 64;

/// Contents of more bytes are not compared.
const MAX_COMPARED: usize = 4 * 1024 * 1024;

/// The history of one state directory.
#[derive(Debug)]
pub struct Trail {
    log: AppendLog,
    contents: Contents,
    limits: HistoryConfig,
    /// By number, each with its size in the file.
    entries: BTreeMap<u64, (Arc<Entry>, usize)>,
    next: u64,
    /// The last generation of each template.
    latest: HashMap<String, u64>,
    /// What the checks refused last, until the event says so.
    refused: HashMap<String, Arc<[u8]>>,
    /// The files of which the last write failed.
    failing: BTreeSet<PathBuf>,
    /// Something was recorded since the last [`Trail::prune`].
    is_changed: bool,
}

impl Trail {
    /// Reads the history of a state directory.
    pub fn open(state_dir: &Path, limits: HistoryConfig, access: Access) -> Self {
        let directory = state_dir.join(DIRECTORY);
        let (log, append_log::Contents { lines, lost }) =
            AppendLog::open::<Arc<Entry>>(directory.join(NAME), HEADER, access);
        if let Some(reason) = lost {
            emit(Event::StateReadFailed { file: None, reason, effect: "entries of the history are missing" });
        }
        let mut trail = Self {
            log,
            contents: Contents::open(directory),
            limits,
            entries: BTreeMap::new(),
            next: 1,
            latest: HashMap::new(),
            refused: HashMap::new(),
            failing: BTreeSet::new(),
            is_changed: true,
        };
        for entry in lines {
            trail.insert(entry);
        }
        trail
    }

    /// Changes the limits.
    pub fn set_limits(&mut self, limits: HistoryConfig) {
        self.limits = limits;
        self.is_changed = true;
    }

    /// The entries, the oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.entries.values().map(|(entry, _)| entry)
    }

    /// The entry with a number.
    pub fn get(&self, number: u64) -> Option<&Arc<Entry>> {
        self.entries.get(&number).map(|(entry, _)| entry)
    }

    /// The destination of the newest generation of each template.
    pub fn destinations(&self) -> impl Iterator<Item = (String, PathBuf)> {
        let dest = move |number: &u64| self.get(*number)?.fields.get("dest")?.as_str().map(PathBuf::from);
        self.latest.iter().filter_map(move |(name, number)| Some((name.clone(), dest(number)?)))
    }

    /// Puts an entry in memory.
    fn insert(&mut self, entry: Arc<Entry>) {
        let size = serde_json::to_vec(&entry).map_or(0, |line| line.len());
        self.next = self.next.max(entry.number.saturating_add(1));
        if let (Some(_), Some(template)) = (&entry.generation, entry.templates.first()) {
            self.latest.insert(template.clone(), entry.number);
        }
        self.entries.insert(entry.number, (entry, size));
        self.is_changed = true;
    }

    /// Puts an entry in memory and in the file. It stays in memory if it cannot be written.
    fn record(&mut self, entry: Entry) {
        let entry = Arc::new(entry);
        self.insert(Arc::clone(&entry));
        let needed = self.entries.len();
        let (log, entries) = (&mut self.log, &self.entries);
        let all = || entries.values().map(|(entry, _)| Arc::clone(entry)).collect();
        let written = ensure_directory(log.file()).and_then(|()| log.append(&entry, needed, all));
        let file = self.log.file().to_owned();
        self.written(file, written);
    }

    fn written(&mut self, file: PathBuf, result: io::Result<()>) {
        match result {
            Ok(()) => _ = self.failing.remove(&file),
            Err(_) if !self.failing.insert(file.clone()) => {}
            Err(why) => {
                let effect = "changes may be missing from the history after a restart";
                emit(Event::StateWriteFailed { file: Some(file), reason: why.to_string(), effect });
            }
        }
    }

    /// Records an event. The same event once more is counted in the entry that it repeats.
    pub fn add_event(&mut self, draft: Draft) {
        let template = draft.templates.first().cloned();
        let is_next = |entry: &&Arc<Entry>| match &template {
            Some(template) => entry.templates.contains(template),
            None => entry.templates.is_empty(),
        };
        let last = self.entries().rev().find(is_next).cloned();
        if let Some(entry) = last.filter(|entry| entry.is_repeated_by(&draft)) {
            let times = entry.repeated.map_or(1, |(times, _)| times).saturating_add(1);
            let again = Entry { repeated: Some((times, draft.at_ms)), ..Entry::clone(&entry) };
            return self.record(again);
        }
        let is_refused = matches!(draft.event, "check_refused" | "rollback_refused");
        let template = template.filter(|_| is_refused);
        let refused = template.as_ref().and_then(|template| self.refused.remove(template));
        let diff = refused.and_then(|bytes| self.diff_to_latest(template.as_deref()?, &bytes));
        let Draft { at_ms, event, templates, fields } = draft;
        let (number, event) = (self.next, event.to_owned());
        self.record(Entry { number, at_ms, event, templates, fields, generation: None, diff, repeated: None });
    }

    /// Records the content of a file.
    pub fn add_file(&mut self, file: FileChange) {
        let template = file.template.to_string();
        if file.change == Change::Refused {
            if self.refused.len() >= MAX_REFUSED {
                // Their events were lost.
                self.refused.clear();
            }
            self.refused.insert(template, file.bytes);
            return;
        }
        self.refused.remove(&template);
        let digest = sha256(&file.bytes);
        let before = self.latest.get(&template).and_then(|number| self.get(*number));
        let is_known = before.and_then(|it| it.generation.as_ref()).is_some_and(|it| it.digest == digest);
        if file.change == Change::Found && is_known {
            return;
        }
        let diff = self.diff_to_latest(&template, &file.bytes);
        if self.limits.generations > 0 {
            let stored = ensure_directory(self.log.file()).and_then(|()| self.contents.store(&digest, &file.bytes));
            let directory = self.log.file().parent().unwrap_or(Path::new("/")).to_owned();
            self.written(directory, stored);
        }
        let event = match file.change {
            Change::Restored => "file_restored",
            Change::Found => FOUND,
            Change::Written | Change::Refused => "file_written",
        };
        let mut fields = serde_json::Map::from_iter([("dest".to_owned(), file.dest.display().to_string().into())]);
        fields.extend(file.took_ms.map(|took_ms| ("took_ms".to_owned(), took_ms.into())));
        let generation = Generation {
            digest,
            size: file.bytes.len() as u64,
            views: file.views,
            checked: file.checked.then_some(true),
            restores: file.restores,
            batch: file.batch,
            had: file.had,
            kept: None,
        };
        self.record(Entry {
            number: self.next,
            at_ms: millis(std::time::SystemTime::now()),
            event: event.to_owned(),
            templates: vec![template],
            fields,
            generation: Some(generation),
            diff,
            repeated: None,
        });
    }

    /// The difference between the last known content of a template's file and another one, cut to [`MAX_DIFF`]; `None`
    /// if the last content is not known.
    fn diff_to_latest(&self, template: &str, bytes: &[u8]) -> Option<String> {
        let before = self.get(*self.latest.get(template)?)?;
        let old = self.contents.read(&before.generation.as_ref()?.digest).ok()?;
        if old.len().max(bytes.len()) > MAX_COMPARED {
            return None;
        }
        let dest = before.fields.get("dest").and_then(|dest| dest.as_str()).unwrap_or(template);
        Some(cut_lines(unified_diff(Some(&old), bytes, Path::new(dest))))
    }

    /// Whether the content of a generation is kept.
    pub fn is_kept(&self, entry: &Entry) -> bool {
        entry.generation.as_ref().is_some_and(|generation| self.contents.has(&generation.digest))
    }

    fn unknown(&self) -> NoContent {
        NoContent::Unknown(self.entries.keys().next().copied().zip(self.entries.keys().next_back().copied()))
    }

    /// The content of a generation.
    ///
    /// # Errors
    /// Why there is none.
    pub fn content(&self, number: u64) -> Result<(&Arc<Entry>, Vec<u8>), NoContent> {
        let entry = self.get(number).ok_or_else(|| self.unknown())?;
        let generation = entry.generation.as_ref().ok_or_else(|| NoContent::NoGeneration(entry.event.clone()))?;
        if !self.contents.has(&generation.digest) {
            return Err(NoContent::Pruned);
        }
        let bytes = self.contents.read(&generation.digest).map_err(|why| NoContent::Unreadable(why.to_string()))?;
        Ok((entry, bytes))
    }

    /// The generation of another template's file that was in place together with a generation: of the same batch, or
    /// else the last one before it. If the batch is that of what a publication replaced, what the publication wrote was
    /// not in place with it; a file that the publication found as it wanted it was.
    pub fn together_with(&self, entry: &Entry, template: &str) -> Option<u64> {
        let batch_of = |it: &Entry| it.generation.as_ref().and_then(|generation| generation.batch);
        let batch = batch_of(entry);
        let replaced_by = batch.filter(|_| entry.event == FOUND).map(|batch| !batch);
        let is_before = |it: &&Arc<Entry>| {
            let is_of_it = replaced_by.is_some() && batch_of(it) == replaced_by;
            if is_of_it { it.event == FOUND } else { it.number < entry.number }
        };
        let same = self.generations(template).find(|it| batch.is_some() && batch_of(it) == batch);
        same.or_else(|| self.generations(template).rfind(is_before)).map(|it| it.number)
    }

    /// The mode and owner of the file that the content of a generation was in before rosterd wrote it; `None` if there is
    /// no such file, or the content was rendered. Rollbacks to that content and restored files have it, too.
    pub fn had(&self, number: u64) -> Option<ModeAndOwner> {
        let entry = self.get(number)?;
        let generation = entry.generation.as_ref()?;
        if entry.event == "file_written" && generation.restores.is_none() {
            return None;
        }
        let same = self.generations(entry.templates.first()?).filter_map(|it| it.generation.as_ref());
        same.filter(|it| it.digest == generation.digest).find_map(|it| it.had)
    }

    /// The generations of a template's file, the oldest first.
    fn generations(&self, template: &str) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        let is_of = move |name: &String| name == template;
        self.entries().filter(move |it| it.generation.is_some() && it.templates.first().is_some_and(is_of))
    }

    /// The entries since a time in milliseconds since 1970, about everything or only a template, roster or service.
    pub fn select(&self, name: Option<&str>, since_ms: u64) -> Vec<Entry> {
        let is_wanted =
            |entry: &&Arc<Entry>| millis(entry.last()) >= since_ms && name.is_none_or(|name| entry.is_about(name));
        self.entries().filter(is_wanted).map(|entry| self.with_kept(entry)).collect()
    }

    /// The entry, with whether its content is kept.
    fn with_kept(&self, entry: &Entry) -> Entry {
        let kept = self.is_kept(entry);
        let generation = entry.generation.clone().map(|it| Generation { kept: Some(kept), ..it });
        Entry { generation, ..entry.clone() }
    }

    /// One entry, and whether its content is kept.
    ///
    /// # Errors
    /// There is none with this number.
    pub fn find(&self, number: u64) -> Result<(Arc<Entry>, bool), String> {
        let entry = self.get(number).ok_or_else(|| self.unknown().describe(number))?;
        Ok((Arc::clone(entry), self.is_kept(entry)))
    }

    /// The difference between two generations, which can be of different templates.
    ///
    /// # Errors
    /// A number without a content: the exit code, and why it has none.
    pub fn diff(&self, from: u64, to: u64) -> Result<String, (Exit, String)> {
        let (_, old) = self.content(from).map_err(|why| (why.exit(), why.describe(from)))?;
        let (entry, new) = self.content(to).map_err(|why| (why.exit(), why.describe(to)))?;
        let dest = entry.fields.get("dest").and_then(|dest| dest.as_str()).unwrap_or_default();
        Ok(unified_diff(Some(&old), &new, Path::new(dest)))
    }

    /// Drops what exceeds the limits. Returns whether anything was recorded since the last call.
    pub fn prune(&mut self) -> bool {
        if !std::mem::take(&mut self.is_changed) {
            return false;
        }
        let kept = self.kept_generations();
        let digest = |number: &u64| Some(self.get(*number)?.generation.as_ref()?.digest.clone());
        let wanted: BTreeSet<String> = kept.iter().filter_map(digest).collect();
        self.contents.retain(|digest| wanted.contains(digest));
        // Entries of generations that are kept stay without their diffs.
        let (mut count, mut bytes) = (0, 0);
        let mut bare = Vec::new();
        let mut gone = Vec::new();
        for (number, (entry, size)) in self.entries.iter().rev() {
            let is_full = count >= MAX_ENTRIES || bytes + size > MAX_BYTES;
            if !is_full {
                (count, bytes) = (count + 1, bytes + size);
            } else if !kept.contains(number) {
                gone.push(*number);
            } else if entry.diff.is_some() {
                bare.push(Entry { diff: None, ..Entry::clone(entry) });
            }
        }
        for number in gone {
            self.entries.remove(&number);
        }
        for entry in bare {
            let size = serde_json::to_vec(&entry).map_or(0, |line| line.len());
            self.entries.insert(entry.number, (Arc::new(entry), size));
        }
        self.latest.retain(|_, number| self.entries.contains_key(number));
        true
    }

    /// The generations whose content is kept: of each template the last ones, as far as they fit. The last of every
    /// template comes before the second last of any.
    fn kept_generations(&self) -> BTreeSet<u64> {
        let mut ranks: HashMap<&str, usize> = HashMap::new();
        let mut ranked = Vec::new();
        for entry in self.entries().rev() {
            let (Some(generation), Some(template)) = (&entry.generation, entry.templates.first()) else { continue };
            let rank = ranks.entry(template).or_default();
            if *rank < self.limits.generations {
                ranked.push((*rank, std::cmp::Reverse(entry.number), generation));
            }
            *rank += 1;
        }
        ranked.sort_unstable_by_key(|(rank, number, _)| (*rank, *number));
        let (mut kept, mut stored, mut total) = (BTreeSet::new(), BTreeSet::new(), 0_u64);
        for (_, number, generation) in ranked.into_iter().take(MAX_GENERATIONS) {
            let is_new = !stored.contains(&generation.digest);
            if is_new && total.saturating_add(generation.size) > self.limits.max_size {
                continue;
            }
            if is_new {
                total += generation.size;
                stored.insert(&generation.digest);
            }
            kept.insert(number.0);
        }
        kept
    }
}

/// Creates the directory of the history. The state directory itself is not created: its lock does that.
fn ensure_directory(file: &Path) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(directory)
}

/// Cuts a diff to [`MAX_DIFF`] after a line.
fn cut_lines(mut diff: String) -> String {
    if diff.len() > MAX_DIFF {
        let end = diff[..diff.floor_char_boundary(MAX_DIFF)].rfind('\n').map_or(0, |at| at + 1);
        let more = diff[end..].lines().count();
        diff.truncate(end);
        let _ = writeln!(diff, "… and {more} more lines");
    }
    diff
}
