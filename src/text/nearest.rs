//! What somebody most likely meant who wrote a name that is not there.

#[cfg(test)]
mod tests;

/// The one of `known` that is nearest to what was written, if one is near enough to be a slip of the fingers: one letter
/// of a short word, two of six to eight, never more than three. Case, and `-` for `_`, are no difference.
pub fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = plain(written);
    known
        .map(|name| (strsim::damerau_levenshtein(&written, &plain(name)), name))
        .filter(|(distance, name)| {
            let letters = written.chars().count().max(name.chars().count());
            // With every letter another, nothing of the word is left to be meant.
            *distance < letters && *distance <= (letters / 3).clamp(1, 3)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}
