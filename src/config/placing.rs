//! `write`, `symlink`, `backup`, `block` and `block_comment`: how a file is written, and which settings templates with
//! the same destination must share.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::keys::MAX_BACKUPS;
use super::problem::ValueError;
use super::table::{Table, Value};

/// The maximum length of the name of a block.
const MAX_BLOCK_NAME: usize = 64;

/// The default of `block_comment`.
const COMMENT: &str = "#";

/// Prefixes of comments that must be closed. They cannot mark a line.
const BLOCK_COMMENTS: [&str; 5] = ["/*", "<!--", "(*", "{-", "{#"];

/// How a file is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Placing {
    /// Whether the file is replaced or overwritten.
    pub write: Method,
    /// What to do if the destination is a symbolic link.
    pub symlink: Symlink,
    /// The number of backups.
    pub backup: u32,
    /// The block of the file that the template writes; the whole file if `None`.
    pub block: Option<Block>,
}

/// Whether a file is replaced or overwritten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Rename a new file over the old one: readers see the old or the new file.
    #[default]
    Atomic,
    /// Overwrite the file: readers may see an incomplete file.
    InPlace,
    /// In place if the destination is a mount point, which cannot be replaced; otherwise atomic.
    Auto,
}

/// What to do if the destination is a symbolic link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Symlink {
    /// Write nothing.
    #[default]
    Refuse,
    /// Replace its target and keep the link.
    Follow,
}

/// A block between two marker lines in a file that other programs write too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Block {
    /// The name in the markers: letters, digits and `. _ -`.
    pub name: Arc<str>,
    /// The start of a comment in that file.
    pub comment: Arc<str>,
}

#[cfg(test)]
impl Block {
    /// A block with `#` as the comment prefix.
    pub fn new(name: &str) -> Self {
        Self { name: Arc::from(name), comment: Arc::from(COMMENT) }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Reads the keys of a template.
pub fn placing(table: &Table<'_>) -> Placing {
    let methods = [("atomic", Method::Atomic), ("inplace", Method::InPlace), ("auto", Method::Auto)];
    let links = [("refuse", Symlink::Refuse), ("follow", Symlink::Follow)];
    Placing {
        write: table.get("write").and_then(|value| value.choice(&methods)).unwrap_or_default(),
        symlink: table.get("symlink").and_then(|value| value.choice(&links)).unwrap_or_default(),
        backup: table.get("backup").and_then(|value| backup(&value)).unwrap_or_default(),
        block: block(table),
    }
}

fn backup(value: &Value<'_>) -> Option<u32> {
    let count = value.count("3")?;
    if count > MAX_BACKUPS {
        let hint = format!("write at most {MAX_BACKUPS}");
        value.reject(ValueError::new(format!("`backup` is {count}; the maximum is {MAX_BACKUPS}"), hint));
        return None;
    }
    Some(count)
}

fn block(table: &Table<'_>) -> Option<Block> {
    let comment = table.get("block_comment");
    let Some(value) = table.get("block") else {
        if let Some(comment) = comment {
            let hint = "add block = \"NAME\", or remove `block_comment`, the prefix of the lines that mark a block";
            comment.reject(ValueError::new("`block_comment` needs `block`", hint));
        }
        return None;
    };
    if table.get("each").is_some() {
        let hint = "remove one of them: with `each`, rosterd owns the whole file, and removes it when its key is gone";
        value.reject(ValueError::new("`block` cannot be combined with `each`", hint));
    }
    let name = value.text("\"cluster\"")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > MAX_BLOCK_NAME || !name.bytes().all(plain) {
        let hint = format!("write 1 to {MAX_BLOCK_NAME} characters: letters, digits, . _ -");
        value.reject(ValueError::new(format!("{name:?} is not a valid block name"), hint));
    }
    let comment = comment.and_then(|value| comment_prefix(&value)).unwrap_or_else(|| Arc::from(COMMENT));
    Some(Block { name: Arc::from(name), comment })
}

/// Reads `block_comment`.
fn comment_prefix(value: &Value<'_>) -> Option<Arc<str>> {
    let sign = value.text("\";\"")?;
    if sign.is_empty() || sign.len() > 8 || !sign.bytes().all(|byte| byte.is_ascii_graphic()) {
        let hint = "write the comment prefix of that file, as in \";\" or \"//\": 1 to 8 characters without spaces";
        value.reject(ValueError::new(format!("`block_comment` cannot be {sign:?}"), hint));
        return None;
    }
    if BLOCK_COMMENTS.contains(&sign) {
        let hint =
            "write a prefix that comments out the rest of a line; a file without such a prefix cannot have blocks";
        value.reject(ValueError::new(
            format!("`block_comment` is {sign:?}, which would comment out the lines of the block too"),
            hint,
        ));
        return None;
    }
    Some(Arc::from(sign))
}

/// How a template uses its destination.
#[derive(Debug)]
pub struct DestUse {
    /// The position of its `dest`, for messages.
    pub place: String,
    pub placing: Placing,
    pub mode: Option<u32>,
    pub owner: Option<u32>,
    pub group: Option<u32>,
}

impl DestUse {
    /// The error if both templates cannot write the same file.
    pub fn conflict(&self, dest: &str, other: &Self) -> Option<ValueError> {
        let at = &other.place;
        let (Some(block), Some(theirs)) = (&self.placing.block, &other.placing.block) else {
            let hint = if self.placing.block.is_some() || other.placing.block.is_some() {
                "templates can share a file only if each has its own `block`"
            } else {
                "only one template can write a file: give one of them another dest"
            };
            return Some(ValueError::new(format!("{dest} is already written by the template at {at}"), hint));
        };
        if block.name == theirs.name {
            let message = format!("block {block} of {dest} is already written by the template at {at}");
            return Some(ValueError::new(message, "give one of them another `block`"));
        }
        let same = [
            ("mode", self.mode == other.mode),
            ("owner", self.owner == other.owner),
            ("group", self.group == other.group),
            ("write", self.placing.write == other.placing.write),
            ("symlink", self.placing.symlink == other.placing.symlink),
            ("backup", self.placing.backup == other.placing.backup),
            ("block_comment", block.comment == theirs.comment),
        ];
        let (key, _) = same.iter().find(|(_, same)| !same)?;
        let message = format!("the template at {at} also writes a block of {dest}, but sets a different `{key}`");
        Some(ValueError::new(message, "both write the same file, so the values must match"))
    }
}
