//! What would change in a file, as `diff -u` shows it.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use imara_diff::{Algorithm, Diff, InternedInput, Token};

#[cfg(test)]
mod tests;

/// The number of unchanged lines before and after each change.
const CONTEXT: usize = 3;

/// Up to this many lines, the smallest difference is found fast enough even if all lines repeat a few.
const ANY_LINES: usize = 20_000;

/// The difference between the file at `path` (`None`: it does not exist) and its new bytes, for `patch -p0`. Empty if
/// there is no difference; one line if the bytes are not text.
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
    let mut out = format!("--- {old_name}\n+++ {new_name}\n");
    hunks(&mut out, before, after);
    out
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// Every change with its context. The crate's own format has wrong line numbers if the first change is in lines 5 to 7,
/// and does not show a missing line break at the end.
fn hunks(out: &mut String, before: &str, after: &str) {
    let input = InternedInput::new(before, after);
    let changes = changes(&input);
    let lines = |out: &mut String, sign: char, tokens: &[Token]| {
        for line in tokens.iter().map(|token| input.interner[*token]) {
            let end = if line.ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
            let _ = write!(out, "{sign}{line}{end}");
        }
    };
    for near in changes.chunk_by(|(one, _), (next, _)| next.start - one.end <= 2 * CONTEXT) {
        let ([(first, first_new), ..], [.., (last, last_new)]) = (near, near) else { continue };
        let lead = first.start.min(CONTEXT);
        let trail = CONTEXT.min(input.before.len() - last.end);
        let (mut at, end) = (first.start - lead, last.end + trail);
        let (old, new) = (numbers(at..end), numbers(first_new.start - lead..last_new.end + trail));
        let _ = writeln!(out, "@@ -{old} +{new} @@");
        for (old, new) in near {
            lines(out, ' ', &input.before[at..old.start]);
            lines(out, '-', &input.before[old.clone()]);
            lines(out, '+', &input.after[new.clone()]);
            at = old.end;
        }
        lines(out, ' ', &input.before[at..end]);
    }
}

/// The lines that differ, before and after: the smallest difference, or one change from the first to the last line that
/// differs if the search could take minutes.
fn changes(input: &InternedInput<&str>) -> Vec<(Range<usize>, Range<usize>)> {
    let (before, after) = (&input.before, &input.after);
    let (most, different) = (before.len().max(after.len()), input.interner.num_tokens() as usize);
    if most > ANY_LINES && different.saturating_mul(different) < most {
        let first = before.iter().zip(after).take_while(|(old, new)| old == new).count();
        let both = before[first..].iter().rev().zip(after[first..].iter().rev());
        let last = both.take_while(|(old, new)| old == new).count();
        return vec![(first..before.len() - last, first..after.len() - last)];
    }
    let mut diff = Diff::compute(Algorithm::Myers, input);
    diff.postprocess_lines(input);
    let range = |lines: Range<u32>| lines.start as usize..lines.end as usize;
    diff.hunks().map(|hunk| (range(hunk.before), range(hunk.after))).collect()
}

/// The first line number and the number of lines, as in the header of a hunk.
fn numbers(lines: Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => (lines.start + 1).to_string(),
        count => format!("{},{count}", lines.start + 1),
    }
}
