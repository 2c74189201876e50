//! What is remembered from one start to the next, in the state directory: the last good members of each roster, the
//! data of each key, the numbers that members had, how late all that was, and when it was last confirmed.
//!
//! A file a roster. It begins with all that was known when it was begun, and each change since is a line at its end, so
//! that a change costs what it is and not what the roster is. Every line has a checksum: a file that was cut off
//! anywhere gives what was known after an earlier line, as a whole. When what was appended outgrows what it was appended
//! to, the file is begun anew: written beside, synced, and renamed into place.
//!
//! A line is in the kernel's hands before the files that are made of it are replaced, so that a killed agent remembers
//! what it wrote. It is not synced: that would double what a change costs. After a power cut the memory may therefore be
//! half a minute older than the files, which does no harm: it is all the same a whole view that was good then, it says
//! itself how old it is, it is used only while no registry is reached, and the first view of one takes its place.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::book::Access;
use crate::book::kept::{Lasting, replace};
use crate::decide::{Event, Memo, Recalled, Recollection};
use crate::log::emit;

mod page;
mod when;

use page::{Confirmed, Page, Refused};
use when::{Dial, When};

/// The folder's name in the state directory.
const NAME: &str = "rosters";

/// What follows a roster's or key's name, which is an identifier and so a plain file name.
const SUFFIX: &str = ".roster";

/// The file that says when each roster was last confirmed, as of once a minute: a roster that does not change has no
/// other sign of life.
const CONFIRMED: &str = "confirmed";

/// What is appended up to this many bytes is no reason to begin a file anew.
const SMALL: usize = 64 * 1024;

/// What is appended beyond this many bytes is begun anew at once, and not when there is time for it.
const LARGE: usize = 8 * 1024 * 1024;

/// The memory of one state directory. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    book: Arc<Mutex<Book>>,
}

/// What the files hold, so that only what differs is written.
#[derive(Debug)]
struct Book {
    folder: PathBuf,
    pages: BTreeMap<Arc<str>, Page>,
    dial: Dial,
    /// The last write failed, and that was said.
    failing: bool,
}

impl Memory {
    /// The memory in a state directory, for an engine that begins now.
    pub fn of(state_dir: &Path) -> Self {
        let book =
            Book { folder: state_dir.join(NAME), pages: BTreeMap::new(), dial: Dial::new(When::now()), failing: false };
        Self { book: Arc::new(Mutex::new(book)) }
    }

    /// All that is remembered. A file that cannot be used is said, and counts as none; one of a newer version is kept
    /// under another name.
    pub fn recall(&self, access: Access) -> Recollection {
        self.book().recall(access)
    }

    /// Remembers something. A failure is said and does no more harm than that: the file that is about to be written is
    /// worth more than what is known after the next start.
    pub fn remember(&self, memo: Memo) {
        let mut book = self.book();
        let done = book.remember(memo);
        book.tell(&done);
    }

    /// Does what can wait: begins files anew that have outgrown themselves, and notes how long ago each roster and key
    /// was last confirmed.
    pub fn tend(&self, ages: &BTreeMap<Arc<str>, Duration>) {
        let mut book = self.book();
        let done = book.tend(ages);
        book.tell(&done);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Whoever panicked with it left a page unsound at worst, which is then written anew.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn recall(&mut self, access: Access) -> Recollection {
        let now = When::now();
        let confirmed = self.confirmed();
        let mut recollection = Recollection::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let file = entry.path();
            let Some(file_name) = file.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if file.extension().is_some_and(|extension| extension == "tmp") && access == Access::Own {
                // Left by a process that ended while it wrote it.
                let _ = fs::remove_file(&file);
            }
            let Some(name) = file_name.strip_suffix(SUFFIX) else {
                continue;
            };
            if let Some(page) = open(&file, access, &self.dial) {
                let ages = [now.since(&page.at), confirmed.as_ref().and_then(|all| all.age(name, &now))];
                let age = ages.into_iter().flatten().min();
                recollection.insert(name.into(), Recalled { age, ..page.known.clone() });
                self.pages.insert(name.into(), page);
            }
        }
        recollection
    }

    /// When all was last confirmed. It is only a date: one that is broken is none.
    fn confirmed(&self) -> Option<Confirmed> {
        Confirmed::read(&fs::read(self.folder.join(CONFIRMED)).ok()?)
    }

    fn remember(&mut self, memo: Memo) -> Result<(), String> {
        let name = Arc::clone(&memo.name);
        let page = self.pages.entry(Arc::clone(&name)).or_insert_with(|| Page::new(memo.origin.clone()));
        let Some(line) = page.take(memo, When::now(), &self.dial) else {
            return Ok(());
        };
        let file = self.folder.join(format!("{name}{SUFFIX}"));
        if page.sound && page.appended < page.whole + LARGE && append(&file, &line).is_ok() {
            page.appended += line.len();
            return Ok(());
        }
        // A first file takes the place of nothing: there is nothing that a power cut could take away.
        let first = !file.exists();
        rewrite(page, &self.dial, &file, if first { Lasting::Nothing } else { Lasting::Whole })
    }

    fn tend(&mut self, ages: &BTreeMap<Arc<str>, Duration>) -> Result<(), String> {
        if self.pages.is_empty() {
            return Ok(());
        }
        let mut done = Ok(());
        for (name, page) in &mut self.pages {
            if !page.sound || page.appended > page.whole.max(SMALL) {
                let file = self.folder.join(format!("{name}{SUFFIX}"));
                done = done.and(rewrite(page, &self.dial, &file, Lasting::Whole));
            }
        }
        let (now, before) = (When::now(), self.confirmed());
        // What this process has nothing to do with was confirmed when it was.
        let age = |name: &Arc<str>| ages.get(name).copied().or_else(|| before.as_ref()?.age(name, &now));
        let known = self.pages.keys().filter_map(|name| Some((Arc::clone(name), age(name)?)));
        let confirmed = Confirmed::of(now.clone(), known);
        let file = self.folder.join(CONFIRMED);
        done.and(replace(&file, &confirmed.bytes(), Lasting::Nothing).map_err(|why| trouble(&file, &why)))
    }

    /// Says a failure when it begins.
    fn tell(&mut self, done: &Result<(), String>) {
        if let Err(why) = done
            && !self.failing
        {
            let (reason, effect) = (why.clone(), "known-good members may not be known after a restart");
            emit(Event::StateWriteFailed { file: None, reason, effect });
        }
        self.failing = done.is_err();
    }
}

/// Reads a page, and says what is wrong with it.
fn open(file: &Path, access: Access, dial: &Dial) -> Option<Page> {
    let read =
        fs::read(file).map_err(|why| Refused::Damaged(why.to_string())).and_then(|bytes| Page::read(&bytes, dial));
    let (page, why) = match read {
        Ok((page, None)) => return Some(page),
        Ok((page, Some(torn))) => (Some(page), torn.to_string()),
        Err(Refused::Damaged(why)) => (None, format!("{why}: what it held begins anew")),
        Err(Refused::Newer(version)) => {
            let aside = file.with_extension("roster.newer");
            let kept = if access == Access::Own && fs::rename(file, &aside).is_ok() { &aside } else { file };
            (None, format!("a newer rosterd wrote it (version {version}): kept as {}", kept.display()))
        }
    };
    let effect = "known-good members of a roster are missing";
    emit(Event::StateReadFailed { file: Some(file.to_owned()), reason: why, effect });
    page
}

fn append(file: &Path, line: &[u8]) -> io::Result<()> {
    OpenOptions::new().append(true).open(file)?.write_all(line)
}

/// Writes a page as a whole.
fn rewrite(page: &mut Page, dial: &Dial, file: &Path, lasting: Lasting) -> Result<(), String> {
    let bytes = page.bytes(dial);
    page.sound = false;
    replace(file, &bytes, lasting).map_err(|why| trouble(file, &why))?;
    (page.sound, page.whole, page.appended) = (true, bytes.len(), 0);
    Ok(())
}

fn trouble(file: &Path, why: &io::Error) -> String {
    format!("write {}: {why}", file.display())
}

#[cfg(test)]
mod tests;
