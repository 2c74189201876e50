//! Records which files the templates with `each` have written, so that the file of a key that disappeared while no
//! agent ran is removed by the next one, and nothing else ever is.
//!
//! There is one [log](crate::state::append_log). Before a file is written, its digest is recorded; after that, that it
//! was written. An agent that was killed in between left either the old file or exactly the recorded one, and the next
//! agent considers a file its own only in the second case.
//!
//! Lines are passed to the kernel before what they describe, and are not synced. A power cut may lose the last ones:
//! then a file that is still wanted is recorded again when it is found up to date, and one whose key is gone may stay.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::config::{Each, TemplateConfig};
use crate::decide::{Event, WrittenKeys};
use crate::log::emit;
use crate::state::append_log::{Access, AppendLog, Contents, Header, path_encoding};

#[cfg(test)]
mod tests;

/// The file's name in the state directory.
const NAME: &str = "files";

const HEADER: Header = Header { about: "files", version: 1, synced: false, snapshot: 0 };

/// The owned files of one state directory. Clones share them.
#[derive(Debug, Clone)]
pub struct OwnedFiles {
    records: Arc<Mutex<Records>>,
}

#[derive(Debug)]
struct Records {
    log: AppendLog,
    files: BTreeMap<PathBuf, Entry>,
    failing: bool,
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    template: Arc<str>,
    roster: Arc<str>,
    key: Arc<str>,
    /// The digest of its intended content, if it is not known whether it was written.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "meant")]
    intended: Option<u64>,
}

/// One line: the new state of a file, or `None` if it is not this agent's.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(with = "path_encoding")]
    dest: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is: Option<Entry>,
}

/// Why a file is known to be the agent's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It was written.
    Written,
    /// It was about to be written, with this digest: it is the agent's own if it has that.
    Intended(u64),
}

impl OwnedFiles {
    /// Reads the log in a state directory. If its end is damaged, the next line rewrites it.
    pub fn open(state_dir: &Path, access: Access) -> Self {
        let (log, contents) = AppendLog::open(state_dir.join(NAME), HEADER, access);
        let mut files = BTreeMap::new();
        let Contents { lines, lost } = contents;
        for Line { dest, is } in lines {
            match is {
                Some(entry) => _ = files.insert(dest, entry),
                None => _ = files.remove(&dest),
            }
        }
        if let Some(why) = lost {
            let effect = "files of keys that no longer exist may remain";
            emit(Event::StateReadFailed { file: None, reason: why, effect });
        }
        Self { records: Arc::new(Mutex::new(Records { log, files, failing: false })) }
    }

    /// All owned files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.records().files.keys().cloned().collect()
    }

    /// The keys whose files these templates have written and would write to the same path now.
    #[must_use]
    pub fn written(&self, templates: &[Arc<TemplateConfig>]) -> WrittenKeys {
        let records = self.records();
        let patterns = templates.iter().filter_map(|config| Some((config, config.pattern()?)));
        let keys = |config: &TemplateConfig, each: &Each| -> BTreeSet<Arc<str>> {
            let own = records.files.iter().filter(|(_, entry)| entry.is_of(each));
            own.filter(|(dest, entry)| config.for_key(&entry.key).is_ok_and(|file| file.dest == **dest))
                .map(|(_, entry)| Arc::clone(&entry.key))
                .collect()
        };
        patterns.map(|(config, each)| (Arc::clone(&config.name), keys(config, each))).collect()
    }

    /// Disowns all files that none of these templates would write.
    pub fn retain(&self, templates: &[Arc<TemplateConfig>]) {
        let written = self.written(templates);
        let mut records = self.records();
        let kept = |entry: &Entry| written.get(&entry.template).is_some_and(|keys| keys.contains(&entry.key));
        let others: Vec<PathBuf> =
            records.files.iter().filter(|(_, entry)| !kept(entry)).map(|(dest, _)| dest.clone()).collect();
        for dest in others {
            records.record(&dest, None);
        }
    }

    /// Records that a key's file is about to be written, with its digest.
    pub fn record_intent(&self, template: &TemplateConfig, digest: u64) {
        let Some(entry) = Entry::new(template, Some(digest)) else { return };
        let mut records = self.records();
        let written = records
            .files
            .get(&template.dest)
            .is_some_and(|known| known.intended.is_none() && known.is_same_file(&entry));
        if !written {
            records.record(&template.dest, Some(entry));
        }
    }

    /// Records that a key's file was written or found up to date.
    pub fn record_written(&self, template: &TemplateConfig) {
        let Some(entry) = Entry::new(template, None) else { return };
        self.records().record(&template.dest, Some(entry));
    }

    /// Records that a key's file was removed or is not this agent's.
    pub fn record_removed(&self, template: &TemplateConfig) {
        self.records().record(&template.dest, None);
    }

    /// Why a key's file is this agent's own; `None` if it is not.
    #[must_use]
    pub fn claim(&self, template: &TemplateConfig) -> Option<Claim> {
        let wanted = Entry::new(template, None)?;
        let records = self.records();
        let entry = records.files.get(&template.dest).filter(|entry| entry.is_same_file(&wanted))?;
        Some(entry.intended.map_or(Claim::Written, Claim::Intended))
    }

    /// Rewrites the log if the file is missing or was replaced.
    pub fn ensure_exists(&self) {
        let mut records = self.records();
        let first = records.files.iter().next().map(|(dest, entry)| (dest.clone(), entry.clone()));
        if let Some((dest, entry)) = first.filter(|_| !records.log.is_intact()) {
            records.write(&dest, Some(entry));
        }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(template: &TemplateConfig, intended: Option<u64>) -> Option<Self> {
        let (each, key) = template.file_of()?;
        let (template, roster) = (Arc::clone(&each.template), Arc::clone(&each.roster));
        Some(Self { template, roster, key: Arc::clone(key), intended })
    }

    fn is_of(&self, each: &Each) -> bool {
        (&self.template, &self.roster) == (&each.template, &each.roster)
    }

    fn is_same_file(&self, other: &Self) -> bool {
        (&self.template, &self.roster, &self.key) == (&other.template, &other.roster, &other.key)
    }
}

impl Records {
    fn record(&mut self, dest: &Path, is: Option<Entry>) {
        if self.files.get(dest) == is.as_ref() {
            return;
        }
        match &is {
            Some(entry) => _ = self.files.insert(dest.to_owned(), entry.clone()),
            None => _ = self.files.remove(dest),
        }
        self.write(dest, is);
    }

    fn write(&mut self, dest: &Path, is: Option<Entry>) {
        let Self { log, files, .. } = self;
        let line = |dest: &Path, is| Line { dest: dest.to_owned(), is };
        let all = || files.iter().map(|(dest, entry)| line(dest, Some(entry.clone()))).collect();
        let done = log.append(&line(dest, is), files.len(), all);
        if let (Err(why), false) = (&done, self.failing) {
            let (file, effect) =
                (Some(self.log.file().to_owned()), "the list of written files may be lost on a restart");
            emit(Event::StateWriteFailed { file, reason: why.to_string(), effect });
        }
        self.failing = done.is_err();
    }
}
