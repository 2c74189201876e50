//! All that a destination is to hold: what was rendered, or the file that is there with that in its block.

use std::path::Path;

use nix::sys::stat::FileStat;

use crate::config::TemplateConfig;
use crate::error::Setback;

use super::block::splice;
use super::fingerprint::is_same;
use super::place::{ExistingFile, Place};

/// The bytes of a whole file.
pub struct Content {
    /// All of them.
    pub bytes: Vec<u8>,
    /// The file that they were made of; `None` where it has no part in them.
    pub base: Option<BaseFile>,
}

/// A file as it was when a new one was made of it.
#[derive(Debug)]
pub struct BaseFile {
    /// Its state; `None`: there was none.
    stat: Option<FileStat>,
    /// Its bytes; `None`: there was none.
    pub bytes: Option<Vec<u8>>,
}

impl Content {
    /// Makes them of what was rendered.
    pub fn new(template: &TemplateConfig, rendered: Vec<u8>, old: &mut Option<ExistingFile>) -> Result<Self, Setback> {
        let Some(block) = &template.placing.block else { return Ok(Self { bytes: rendered, base: None }) };
        let before = old.as_mut().map(|old| old.read(&template.dest)).transpose()?;
        let bytes = splice(before.as_deref().unwrap_or_default(), block, &rendered, &template.dest)?;
        let base = BaseFile { stat: old.as_ref().map(|old| old.stat), bytes: before };
        Ok(Self { bytes, base: Some(base) })
    }

    /// Whether they are in the file already.
    pub fn is_in(&self, old: Option<&mut ExistingFile>, dest: &Path) -> Result<bool, Setback> {
        match &self.base {
            Some(base) => Ok(base.bytes.as_ref() == Some(&self.bytes)),
            None => old.map_or(Ok(false), |old| old.has_content(&self.bytes, dest)),
        }
    }
}

impl BaseFile {
    /// Whether the file is still what it was.
    pub fn is_current(&self, place: &Place) -> Result<bool, Setback> {
        match (place.existing()?, &self.stat) {
            (None, None) => Ok(true),
            (Some(mut now), Some(before)) => {
                Ok(is_same(&now.stat, before) && Some(now.read(&place.dest)?) == self.bytes)
            }
            _ => Ok(false),
        }
    }
}
