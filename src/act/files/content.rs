//! All bytes that a destination is to hold: the rendered ones, or the current file with those in its block.

use std::path::Path;

use nix::sys::stat::FileStat;

use crate::config::TemplateConfig;
use crate::error::Setback;

use super::block::splice;
use super::fingerprint::is_same;
use super::place::{ExistingFile, Place};

/// The new content of a file.
pub struct Content {
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// The file that the bytes were made from; `None` if they do not depend on it.
    pub base: Option<BaseFile>,
}

/// The file that the new content was made from, as it was then.
#[derive(Debug)]
pub struct BaseFile {
    /// Its state; `None` if there was no file.
    stat: Option<FileStat>,
    /// Its bytes; `None` if there was no file.
    pub bytes: Option<Vec<u8>>,
}

impl Content {
    /// Makes the content from what was rendered.
    pub fn new(template: &TemplateConfig, rendered: Vec<u8>, old: &mut Option<ExistingFile>) -> Result<Self, Setback> {
        let Some(block) = &template.placing.block else { return Ok(Self { bytes: rendered, base: None }) };
        let before = old.as_mut().map(|old| old.read(&template.dest)).transpose()?;
        let bytes = splice(before.as_deref().unwrap_or_default(), block, &rendered, &template.dest)?;
        let base = BaseFile { stat: old.as_ref().map(|old| old.stat), bytes: before };
        Ok(Self { bytes, base: Some(base) })
    }

    /// Whether the file already has this content.
    pub fn is_in(&self, old: Option<&mut ExistingFile>, dest: &Path) -> Result<bool, Setback> {
        match &self.base {
            Some(base) => Ok(base.bytes.as_ref() == Some(&self.bytes)),
            None => old.map_or(Ok(false), |old| old.has_content(&self.bytes, dest)),
        }
    }
}

impl BaseFile {
    /// Whether the file is still the same.
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
