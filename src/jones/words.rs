//! How messages name environments, and lists of names.

use std::fmt::Write as _;

use super::path::{Env, Service};

#[cfg(test)]
mod tests;

/// How many names are listed before the rest is counted.
const MAX_NAMES: usize = 5;

/// `S/ENV`, or `S` for the root environment.
pub fn name(service: &Service, env: &Env) -> String {
    if env.is_root() { service.to_string() } else { format!("{service}/{env}") }
}

/// A number of hosts.
pub fn hosts(count: usize) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}

/// The first names, and how many there are.
pub fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let mut out = names.iter().take(MAX_NAMES).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if names.len() > MAX_NAMES {
        // Writing to a string cannot fail.
        let _ = write!(out, " and {} more", names.len() - MAX_NAMES);
    }
    out
}
