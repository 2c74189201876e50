//! The lines of a file between two markers, which are the agent's; all other bytes stay as they are.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;

use crate::config::Block;
use crate::error::Setback;
use crate::model::digest::digest_bytes;

#[cfg(test)]
pub mod tests;

/// The file with new lines in its block. A missing block is appended.
///
/// Lines of the block, and new markers, end as the first line of the file does. If the last line of the file has no
/// end, it gets one before the block.
///
/// # Errors
/// The markers in the file do not form one block, or the text contains a marker.
pub fn splice(old: &[u8], block: &Block, text: &[u8], dest: &Path) -> Result<Vec<u8>, Setback> {
    let failed = |why: String| Setback::new(format!("replace block {block} of {}", dest.display()), why);
    if let Some((number, _)) = numbered(text).find(|(_, line)| marker(line, &block.comment).is_some()) {
        let why = format!("line {number} of the rendered text is a block marker");
        return Err(failed(why).hint("remove the line from the template, or from the data that it renders"));
    }
    let found = find(old, block).map_err(|why| {
        let hint = format!("{} BEGIN rosterd {block} and {0} END rosterd {block} must each occur once", block.comment);
        failed(why).hint(format!("correct {} by hand: {hint}", dest.display()))
    })?;
    let end = line_end(old, found.as_ref());
    let mut new = Vec::with_capacity(old.len() + text.len());
    if let Some(inner) = found {
        new.extend_from_slice(&old[..inner.start]);
        push_lines(&mut new, text, end);
        new.extend_from_slice(&old[inner.end..]);
        return Ok(new);
    }
    new.extend_from_slice(old);
    if !old.is_empty() && !old.ends_with(b"\n") {
        new.extend_from_slice(end);
    }
    push_lines(&mut new, format!("{} BEGIN rosterd {block}", block.comment).as_bytes(), end);
    push_lines(&mut new, text, end);
    push_lines(&mut new, format!("{} END rosterd {block}", block.comment).as_bytes(), end);
    Ok(new)
}

/// A block's lines; `None` if the file does not have exactly one complete block of this name.
pub fn content<'a>(file: &'a [u8], block: &Block) -> Option<&'a [u8]> {
    find(file, block).ok().flatten().map(|lines| &file[lines])
}

/// The digest of a block's lines; `None` if the file does not have exactly one complete block of this name.
pub fn digest(file: &[u8], block: &Block) -> Option<u64> {
    content(file, block).map(digest_bytes)
}

/// The host names in the block of a hosts(5) file that other lines name too, each with the number of the first such
/// line.
pub fn shadowed_hosts(hosts: &[u8], block: &Block) -> Vec<(String, usize)> {
    let Ok(Some(inner)) = find(hosts, block) else { return Vec::new() };
    let mut own: BTreeSet<String> = lines(&hosts[inner.clone()]).flat_map(names).collect();
    let first = lines(&hosts[..inner.start]).count() + lines(&hosts[inner.clone()]).count();
    let before = numbered(&hosts[..inner.start]);
    let after = numbered(&hosts[inner.end..]).map(|(number, line)| (first + number, line));
    let elsewhere = before.chain(after).flat_map(|(number, line)| names(line).map(move |name| (name, number)));
    elsewhere.filter(|(name, _)| own.remove(name)).collect()
}

/// The names on a line of a hosts(5) file, in lower case.
fn names(line: &[u8]) -> impl Iterator<Item = String> {
    let line = String::from_utf8_lossy(line).to_ascii_lowercase();
    let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
    let is_entry = words.next().is_some_and(|address| address.parse::<IpAddr>().is_ok());
    let names: Vec<String> = words.filter(|_| is_entry).map(str::to_owned).collect();
    names.into_iter()
}

/// A line that begins or ends a block, with the block's name.
enum Marker {
    Begin(String),
    End(String),
}

/// Parses a marker. White space, and words after the name, are ignored, so that an edited marker does not lead to a
/// second block.
fn marker(line: &[u8], comment: &str) -> Option<Marker> {
    let line = String::from_utf8_lossy(line);
    // Some editors begin a file with a byte order mark.
    let mut words = line.trim_start_matches('\u{feff}').trim_ascii().strip_prefix(comment)?.split_ascii_whitespace();
    let (what, whose, name) = (words.next()?, words.next()?, words.next()?);
    match (what, whose) {
        ("BEGIN", "rosterd") => Some(Marker::Begin(name.to_owned())),
        ("END", "rosterd") => Some(Marker::End(name.to_owned())),
        _ => None,
    }
}

/// The bytes between a block's markers; `None` if the file has no such block. The error describes what is wrong with
/// the markers.
fn find(file: &[u8], block: &Block) -> Result<Option<Range<usize>>, String> {
    let own = &*block.name;
    // The block that is open at this line: its name, the line that begins it, and where its content begins.
    let mut open: Option<(String, usize, usize)> = None;
    let mut found: Option<(usize, Range<usize>)> = None;
    let mut at = 0;
    for (number, line) in numbered(file) {
        let begins = at;
        at += line.len();
        match (marker(line, &block.comment), &open) {
            (Some(Marker::Begin(name)), Some((other, first, _))) if name == own || other == own => {
                return Err(format!(
                    "line {number} begins block {name} inside block {other}, which line {first} begins"
                ));
            }
            (Some(Marker::Begin(name)), _) => {
                if let Some((first, _)) = found.as_ref().filter(|_| name == own) {
                    return Err(format!("lines {first} and {number} both begin block {own}"));
                }
                open = Some((name, number, at));
            }
            (Some(Marker::End(name)), Some((other, first, inner))) if name == *other => {
                if name == own {
                    found = Some((*first, *inner..begins));
                }
                open = None;
            }
            (Some(Marker::End(name)), Some((other, first, _))) if other == own => {
                return Err(format!("line {number} ends block {name} inside block {own}, which line {first} begins"));
            }
            (Some(Marker::End(name)), _) if name == own => {
                return Err(format!("line {number} ends block {own}, and no line above it begins it"));
            }
            _ => {}
        }
    }
    match open {
        // A block appended here would be inside the open one.
        Some((name, first, _)) if name == own || found.is_none() => {
            Err(format!("line {first} begins block {name}, and no line ends it"))
        }
        _ => Ok(found.map(|(_, inner)| inner)),
    }
}

/// The line end of the file's first line outside the block.
fn line_end(file: &[u8], inner: Option<&Range<usize>>) -> &'static [u8] {
    let outside = inner.map_or(file, |inner| &file[..inner.start]);
    let first = lines(outside).next().unwrap_or_default();
    // A last line that ends with a lone `\r` would end with `\r\n` once `\n` is appended.
    if first.ends_with(b"\r\n") || first.ends_with(b"\r") { b"\r\n" } else { b"\n" }
}

fn push_lines(file: &mut Vec<u8>, text: &[u8], end: &[u8]) {
    for line in lines(text) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        file.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        file.extend_from_slice(end);
    }
}

/// The lines, including their ends.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// The lines and their numbers, from 1.
fn numbered(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    lines(text).enumerate().map(|(index, line)| (index + 1, line))
}
