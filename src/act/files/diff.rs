//! What would change in a file, as `diff -u` shows it.

use std::path::Path;
use std::time::Duration;

use similar::TextDiff;

#[cfg(test)]
mod tests;

/// How long the search for a small difference may take; after that it is a correct one that is not the smallest.
const SEARCH: Duration = Duration::from_secs(2);

/// The difference between the file at `path` (`None`: there is none yet) and its new bytes, for `patch -p0`. Empty
/// when there is none; one line for bytes that are no text.
#[must_use]
pub fn unified_diff(old: Option<&[u8]>, new: &[u8], path: &Path) -> String {
    let before = old.unwrap_or_default();
    if old.is_some() && before == new {
        return String::new();
    }
    let new_name = path.display().to_string();
    let old_name = if old.is_some() { new_name.as_str() } else { "/dev/null" };
    let (Some(before), Some(after)) = (text(before), text(new)) else {
        return format!("Binary files {old_name} and {new_name} (new) differ\n");
    };
    if before == after {
        return format!("--- {old_name}\n+++ {new_name}\n");
    }
    let diff = TextDiff::configure().timeout(SEARCH).diff_lines(before, after);
    diff.unified_diff().context_radius(3).header(old_name, &new_name).to_string()
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}
