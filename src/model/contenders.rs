//! The nodes of the contenders for a lock, as kazoo names and orders them (`kazoo/recipe/lock.py` in 2.11).
//!
//! A contender is a child of the lock's node: 32 hexadecimal digits, its kind, and the number that the server appends.
//! The lowest number holds the lock.

#[cfg(test)]
mod tests;

/// Between the digits and the number, in the name of a contender for the lock alone (`Lock`, `WriteLock`, `Election`).
pub const EXCLUSIVE: &str = "__lock__";

/// The same for a contender that shares the lock with others of its kind (`ReadLock`).
pub const SHARED: &str = "__rlock__";

/// How many digits the server appends.
const DIGITS: usize = 10;

/// The name of a contender's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contender<'a> {
    /// The number, as text: kazoo compares it so.
    pub number: &'a str,
    /// The whole name.
    pub name: &'a str,
    /// Whether it shares the lock with others of its kind.
    pub is_shared: bool,
}

impl<'a> Contender<'a> {
    /// Parses the name of a child of the lock's node. `None` for any child that kazoo does not count.
    pub fn parse(name: &'a str) -> Option<Self> {
        let (rest, digits) = name.split_at_checked(name.len().checked_sub(DIGITS)?)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // The server counts with 32 bits, and may have passed the largest number.
        let rest = rest.strip_suffix('-').unwrap_or(rest);
        let is_shared = rest.ends_with(SHARED);
        (is_shared || rest.ends_with(EXCLUSIVE)).then(|| Self { number: &name[rest.len()..], name, is_shared })
    }
}

/// The contenders among the children of the lock's node, the first in line first.
pub fn in_order<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Contender<'a>> {
    let mut all: Vec<Contender<'_>> = names.into_iter().filter_map(Contender::parse).collect();
    all.sort_by_key(|contender| contender.number);
    all
}
