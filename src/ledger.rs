//! Which files the templates with `each` have written, in the state directory: so that the file of a key that went while
//! no agent ran is removed by the next one, and nothing else ever is.
//!
//! A line for each step, with a checksum, at the end of one file. What is to be written is noted before, with what it
//! will hold; that it was written is noted after. An agent that was killed in between left either what stood there
//! before or exactly what was noted: the next one takes a file for its own only in the second case.
//!
//! Lines are in the kernel's hands before what they are about, and not synced. A power cut may take the last ones: then a
//! file that is still wanted is noted again as it is found in step, and one whose key is gone may stay.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::config::{Each, TemplateConfig};
use crate::decide::Written;
use crate::memory::line;

/// The file's name in the state directory.
const NAME: &str = "files";

/// How the file begins.
const TITLE: &str = "rosterd files 1\n";

/// So many lines more than there are files, and it is begun anew.
const SPARE: usize = 256;

/// The ledger of one state directory. Clones share it.
#[derive(Debug, Clone)]
pub struct Ledger {
    book: Arc<Mutex<Book>>,
}

#[derive(Debug)]
struct Book {
    file: PathBuf,
    files: BTreeMap<PathBuf, Entry>,
    /// Lines beyond the title.
    lines: usize,
    /// It ends where a line may be appended.
    sound: bool,
    failing: bool,
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    template: Arc<str>,
    roster: Arc<str>,
    key: Arc<str>,
    /// What it was to hold, where it is not known whether it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meant: Option<u64>,
}

/// One line: what is known of a file from here on; nothing, when it is not this agent's.
#[derive(Serialize, Deserialize)]
struct Line {
    dest: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is: Option<Entry>,
}

/// By what a file is known to be the agent's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It was written.
    Written,
    /// It was to be written, with this digest, and is the agent's own if it has it.
    Meant(u64),
}

impl Ledger {
    /// The ledger in a state directory. What is damaged at its end is left out, and the next note writes it anew.
    pub fn open(state_dir: &Path) -> Self {
        let file = state_dir.join(NAME);
        let mut book = Book { file, files: BTreeMap::new(), lines: 0, sound: false, failing: false };
        match fs::read(&book.file) {
            Ok(bytes) => book.read(&bytes),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => {
                let file = book.file.display();
                warn!(why = %format_args!("read {file}: {why}"), "files of keys that went before are not known, and stay");
            }
        }
        Self { book: Arc::new(Mutex::new(book)) }
    }

    /// The keys of the files that these templates have written, where they would write the same ones now.
    #[must_use]
    pub fn written(&self, templates: &[Arc<TemplateConfig>]) -> Written {
        let book = self.book();
        let patterns = templates.iter().filter_map(|config| Some((config, config.pattern()?)));
        let keys = |config: &TemplateConfig, each: &Each| -> BTreeSet<Arc<str>> {
            let own = book.files.iter().filter(|(_, entry)| entry.is_of(each));
            own.filter(|(dest, entry)| config.for_key(&entry.key).is_ok_and(|file| file.dest == **dest))
                .map(|(_, entry)| Arc::clone(&entry.key))
                .collect()
        };
        patterns.map(|(config, each)| (Arc::clone(&config.name), keys(config, each))).collect()
    }

    /// Files that none of these templates would write any more are nobody's from here on.
    pub fn release(&self, templates: &[Arc<TemplateConfig>]) {
        let written = self.written(templates);
        let mut book = self.book();
        let kept = |entry: &Entry| written.get(&entry.template).is_some_and(|keys| keys.contains(&entry.key));
        let others: Vec<PathBuf> =
            book.files.iter().filter(|(_, entry)| !kept(entry)).map(|(dest, _)| dest.clone()).collect();
        for dest in others {
            book.note(&dest, None);
        }
    }

    /// A key's file is about to be written with these bytes.
    pub fn means(&self, template: &TemplateConfig, digest: u64) {
        let Some(entry) = Entry::of(template, Some(digest)) else { return };
        let mut book = self.book();
        let written = book.files.get(&template.dest).is_some_and(|known| known.meant.is_none() && known.same(&entry));
        if !written {
            book.note(&template.dest, Some(entry));
        }
    }

    /// A key's file was written, or found as it should be.
    pub fn wrote(&self, template: &TemplateConfig) {
        let Some(entry) = Entry::of(template, None) else { return };
        self.book().note(&template.dest, Some(entry));
    }

    /// A key's file is gone, or was not this agent's.
    pub fn gone(&self, template: &TemplateConfig) {
        self.book().note(&template.dest, None);
    }

    /// By what a key's file is this agent's own; `None` where it is not.
    #[must_use]
    pub fn claim(&self, template: &TemplateConfig) -> Option<Claim> {
        let wanted = Entry::of(template, None)?;
        let book = self.book();
        let entry = book.files.get(&template.dest).filter(|entry| entry.same(&wanted))?;
        Some(entry.meant.map_or(Claim::Written, Claim::Meant))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn of(template: &TemplateConfig, meant: Option<u64>) -> Option<Self> {
        let (each, key) = template.file_of()?;
        let (template, roster) = (Arc::clone(&each.template), Arc::clone(&each.roster));
        Some(Self { template, roster, key: Arc::clone(key), meant })
    }

    fn is_of(&self, each: &Each) -> bool {
        (&self.template, &self.roster) == (&each.template, &each.roster)
    }

    fn same(&self, other: &Self) -> bool {
        (&self.template, &self.roster, &self.key) == (&other.template, &other.roster, &other.key)
    }
}

impl Book {
    fn read(&mut self, bytes: &[u8]) {
        let Some(mut rest) = bytes.strip_prefix(TITLE.as_bytes()) else {
            let file = self.file.display();
            warn!(why = %format_args!("{file} is not what was written"), "files of keys that went before are not known, and stay");
            return;
        };
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let Some(Line { dest, is }) = line::read(&rest[..end]) else { break };
            match is {
                Some(entry) => _ = self.files.insert(dest, entry),
                None => _ = self.files.remove(&dest),
            }
            self.lines += 1;
            rest = &rest[end + 1..];
        }
        self.sound = rest.is_empty();
    }

    fn note(&mut self, dest: &Path, is: Option<Entry>) {
        if self.files.get(dest) == is.as_ref() {
            return;
        }
        match &is {
            Some(entry) => _ = self.files.insert(dest.to_owned(), entry.clone()),
            None => _ = self.files.remove(dest),
        }
        let line = line::write(&Line { dest: dest.to_owned(), is });
        let done =
            if self.sound && self.lines < 2 * self.files.len() + SPARE { self.append(&line) } else { self.rewrite() };
        if let (Err(why), false) = (&done, self.failing) {
            let file = self.file.display();
            warn!(why = %format_args!("write {file}: {why}"), "written files are not remembered for the next start");
        }
        self.sound &= done.is_ok();
        self.failing = done.is_err();
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).open(&self.file)?.write_all(line)?;
        self.lines += 1;
        Ok(())
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let mut bytes = TITLE.as_bytes().to_vec();
        for (dest, entry) in &self.files {
            bytes.extend(line::write(&Line { dest: dest.clone(), is: Some(entry.clone()) }));
        }
        if let Some(folder) = self.file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let staged = self.file.with_extension("tmp");
        let mut fresh = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        fresh.write_all(&bytes)?;
        fresh.sync_all()?;
        fs::rename(&staged, &self.file)?;
        (self.sound, self.lines) = (true, self.files.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OnGone;

    fn template(roster: &str, dest: &str) -> Arc<TemplateConfig> {
        let each = Each::new("svc", roster, OnGone::Remove);
        Arc::new(TemplateConfig { each: Some(each), ..TemplateConfig::new("svc", "t", dest) })
    }

    fn keys(ledger: &Ledger, template: &Arc<TemplateConfig>) -> Vec<String> {
        ledger.written(&[Arc::clone(template)])["svc"].iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_was_written_is_known_after_any_cut_and_to_the_same_template_alone() {
        let dir = tempfile::TempDir::new().unwrap();
        let svc = template("services", "/x/{{ key }}.cfg");
        let [a, b] = ["a", "b"].map(|key| svc.for_key(&Arc::from(key)).unwrap());
        let ledger = Ledger::open(dir.path());
        ledger.means(&a, 7);
        ledger.wrote(&a);
        ledger.means(&a, 8);
        ledger.means(&b, 9);
        let again = Ledger::open(dir.path());
        assert_eq!(keys(&again, &svc), ["a", "b"]);
        assert_eq!((again.claim(&a), again.claim(&b)), (Some(Claim::Written), Some(Claim::Meant(9))));
        assert_eq!(keys(&again, &template("others", "/x/{{ key }}.cfg")), [""; 0], "of another roster");
        assert_eq!(keys(&again, &template("services", "/y/{{ key }}.cfg")), [""; 0], "in another folder");
        again.gone(&b);
        assert_eq!(keys(&Ledger::open(dir.path()), &svc), ["a"]);
        let whole = fs::read(dir.path().join(NAME)).unwrap();
        for cut in 0..whole.len() {
            fs::write(dir.path().join(NAME), &whole[..cut]).unwrap();
            let ledger = Ledger::open(dir.path());
            assert!(keys(&ledger, &svc).iter().all(|key| key == "a" || key == "b"), "cut at {cut}");
            ledger.wrote(&a);
            assert!(keys(&Ledger::open(dir.path()), &svc).contains(&"a".to_owned()), "cut at {cut}");
        }
        fs::write(dir.path().join(NAME), &whole).unwrap();
        Ledger::open(dir.path()).release(&[]);
        assert_eq!(keys(&Ledger::open(dir.path()), &svc), [""; 0]);
    }
}
