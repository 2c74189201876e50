//! Serializes paths in log lines: as text, or as bytes if a path is not UTF-8.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(test)]
mod tests;

/// A serialized path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EncodedPath {
    /// UTF-8.
    Text(String),
    /// The bytes of a path that is not UTF-8.
    Bytes(Vec<u8>),
}

impl From<&Path> for EncodedPath {
    fn from(path: &Path) -> Self {
        path.to_str().map_or_else(|| Self::Bytes(path.as_os_str().as_bytes().to_vec()), |text| Self::Text(text.into()))
    }
}

impl From<EncodedPath> for PathBuf {
    fn from(path: EncodedPath) -> Self {
        match path {
            EncodedPath::Text(text) => text.into(),
            EncodedPath::Bytes(bytes) => OsString::from_vec(bytes).into(),
        }
    }
}

/// For `#[serde(with)]`.
pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    EncodedPath::from(path).serialize(to)
}

/// For `#[serde(with)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    EncodedPath::deserialize(from).map(PathBuf::from)
}
