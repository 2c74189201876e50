//! Suggestions for misspelled names.

#[cfg(test)]
mod tests;

/// Returns the name in `known` that is nearest to `written`, if it is close enough to be a typo: at most one edit in a
/// word of up to five letters, two in six to eight, three in longer ones. Case is ignored, and `-` equals `_`.
pub fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = plain(written);
    known
        .map(|name| (strsim::damerau_levenshtein(&written, &plain(name)), name))
        .filter(|(distance, name)| {
            let letters = written.chars().count().max(name.chars().count());
            // If every letter differs, the names have nothing in common.
            *distance < letters && *distance <= (letters / 3).clamp(1, 3)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}
