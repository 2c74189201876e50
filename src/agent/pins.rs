//! Saves the pins of files that a person rolled back, and loads them at the next start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::agent::executor::Executor;
use crate::decide::{Event, Moment, Pin, Pins};
use crate::log::emit;
use crate::state::pins::{SavedPin, file, load, save};

/// The saved pins of a state directory.
#[derive(Debug, Clone)]
pub struct PinFile {
    state_dir: PathBuf,
    /// Why the last save failed.
    failed: Arc<Mutex<Option<String>>>,
}

impl PinFile {
    /// The pins of a state directory that this process has locked.
    pub fn new(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned(), failed: Arc::default() }
    }

    /// The pins of the previous run. `now` is the time on the engine's clock.
    ///
    /// # Errors
    /// They cannot be read. It is not known then which files must not be rendered.
    pub fn load(&self, now: Moment) -> Result<Pins, String> {
        let wall = SystemTime::now();
        let pin = |(template, SavedPin { generation, content, since, uid, reason }): (String, SavedPin)| {
            let since = now - wall.duration_since(since).unwrap_or_default();
            (Arc::from(template), Arc::new(Pin { generation, content: content.into(), since, uid, reason }))
        };
        let saved = load(&self.state_dir).map_err(|why| {
            let file = file(&self.state_dir);
            let effect = "paused for one hour, because pinned files would be rendered";
            let reason = format!("{}: {why}", file.display());
            emit(Event::StateReadFailed { file: Some(file), reason: why, effect });
            reason
        })?;
        Ok(saved.into_iter().map(pin).collect())
    }

    /// Saves these pins, and no others, before any file that is published after this call.
    pub fn save(&self, executor: &Executor, pins: &Pins, now: Moment) {
        let wall = SystemTime::now();
        let saved = |(template, pin): (&Arc<str>, &Arc<Pin>)| {
            let since = wall.checked_sub(now.since(pin.since)).unwrap_or(wall);
            let (content, reason) = (pin.content.to_vec(), pin.reason.clone());
            (template.to_string(), SavedPin { generation: pin.generation, content, since, uid: pin.uid, reason })
        };
        let pins: BTreeMap<String, SavedPin> = pins.iter().map(saved).collect();
        let this = self.clone();
        executor.in_order(move || {
            let failed = save(&this.state_dir, pins).err().map(|why| why.to_string());
            if let Some(reason) = failed.clone() {
                let (file, effect) = (Some(file(&this.state_dir)), "a restart undoes the last change of pins");
                emit(Event::StateWriteFailed { file, reason, effect });
            }
            *this.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
        });
    }

    /// Why the last save failed, once it ended: on the file thread, after [`Self::save`].
    pub fn failure(&self) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().map(|why| format!("cannot write {}: {why}", file(&self.state_dir).display()))
    }
}
