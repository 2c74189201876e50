//! A path in a line: as text, or as numbers where it is none, so that every path can be said.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(test)]
mod tests;

/// How a path is spelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Spelling {
    /// As it is.
    Text(String),
    /// By its bytes, which are no text.
    Bytes(Vec<u8>),
}

impl From<&Path> for Spelling {
    fn from(path: &Path) -> Self {
        path.to_str().map_or_else(|| Self::Bytes(path.as_os_str().as_bytes().to_vec()), |text| Self::Text(text.into()))
    }
}

impl From<Spelling> for PathBuf {
    fn from(spelling: Spelling) -> Self {
        match spelling {
            Spelling::Text(text) => text.into(),
            Spelling::Bytes(bytes) => OsString::from_vec(bytes).into(),
        }
    }
}

/// For `#[serde(with)]`.
pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    Spelling::from(path).serialize(to)
}

/// For `#[serde(with)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    Spelling::deserialize(from).map(PathBuf::from)
}
