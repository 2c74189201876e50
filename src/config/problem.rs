//! What is wrong in a file that a person wrote, at its place.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// One problem: the file, the bytes of it that are wrong, what is wrong with them, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// The file's whole text; empty where it could not be read.
    pub text: Arc<str>,
    /// The bytes of `text` to point at.
    pub span: Range<usize>,
    /// What is wrong, with the value in it: "min (5) is over max (3)".
    pub message: String,
    /// What to do: "write min = 3 or less, or leave max out".
    pub hint: Option<String>,
}

/// Every problem of one load, in the order of file and place; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);
