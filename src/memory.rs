//! What is remembered from one start to the next, in the state directory: the numbers that members have.
//!
//! A JSON file a roster, replaced by a rename, so that it is whole whenever it is read. It is not synced: after a power
//! cut the software begins anew as well, and numbers begin anew with it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::decide::{RosterSlots, Slots};

/// The folder's name in the state directory.
const NAME: &str = "slots";

/// The format that this version writes, and the only one that it reads.
const VERSION: u32 = 1;

/// A file's content.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    version: u32,
    slots: RosterSlots,
}

/// The memory of one state directory.
#[derive(Debug, Clone)]
pub struct Memory {
    folder: PathBuf,
}

impl Memory {
    /// The memory in a state directory.
    pub fn of(state_dir: &Path) -> Self {
        Self { folder: state_dir.join(NAME) }
    }

    /// What was remembered, by roster. A file that cannot be used is said, and counts as none: numbers begin anew.
    pub fn recall(&self) -> Slots {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let named = entries.filter_map(|entry| {
            let file = entry.path();
            let name: Arc<str> = file.file_name()?.to_str()?.strip_suffix(".json")?.into();
            match read(&file) {
                Ok(slots) => Some((name, slots)),
                Err(why) => {
                    warn!(why = %format_args!("{}: {why}", file.display()), "numbers of members begin anew");
                    None
                }
            }
        });
        named.collect()
    }

    /// Remembers a roster's. A failure is said and does no more harm than that: the file that is about to be written is
    /// worth more than the numbers after the next start.
    pub fn remember(&self, roster: &str, slots: RosterSlots) {
        if let Err(why) = self.write(roster, slots) {
            let why = format!("write {roster}.json in {}: {why}", self.folder.display());
            warn!(%why, "numbers of members are not remembered");
        }
    }

    fn write(&self, roster: &str, slots: RosterSlots) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut fresh = tempfile::Builder::new().prefix(".rosterd-").suffix(".tmp").tempfile_in(&self.folder)?;
        fresh.write_all(&serde_json::to_vec(&Remembered { version: VERSION, slots })?)?;
        // A roster's name is an identifier, and so a plain file name.
        fresh.persist(self.folder.join(format!("{roster}.json")))?;
        Ok(())
    }
}

fn read(file: &Path) -> Result<RosterSlots, String> {
    let text = std::fs::read(file).map_err(|why| why.to_string())?;
    let known: Remembered = serde_json::from_slice(&text).map_err(|why| why.to_string())?;
    match known.version {
        VERSION => Ok(known.slots),
        other => Err(format!("it is of version {other}, and this is {VERSION}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;

    #[test]
    fn what_is_remembered_is_recalled_and_what_is_broken_is_not() {
        let dir = tempfile::TempDir::new().unwrap();
        let memory = Memory::of(dir.path());
        assert_eq!(memory.recall(), Slots::new(), "nothing yet");
        let slots = RosterSlots::from([("".into(), BTreeMap::from([("a:1".into(), 1), ("b:1".into(), 0)]))]);
        memory.remember("db", slots.clone());
        memory.remember("web", RosterSlots::new());
        let all = Slots::from([("db".into(), slots.clone()), ("web".into(), RosterSlots::new())]);
        assert_eq!(memory.recall(), all);
        assert_eq!(fs::read_dir(dir.path().join(NAME)).unwrap().count(), 2, "and nothing is left beside them");
        let negative = r#"{"version": 1, "slots": {"": {"m": -1}}}"#;
        for text in ["", "{", r#"{"version": 2, "slots": {}}"#, negative] {
            fs::write(dir.path().join(NAME).join("db.json"), text).unwrap();
            assert_eq!(memory.recall().len(), 1, "{text}");
        }
        Memory::of(Path::new("/dev/null")).remember("db", slots);
    }
}
