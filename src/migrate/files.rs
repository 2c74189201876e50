//! Reads the files of the tool that is left, and writes the result.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::{fs, str};

use super::OutputFile;

/// The largest file that is read.
const MAX_SIZE: u64 = 8 << 20;

/// Reads a text.
///
/// # Errors
/// The file and the reason.
pub fn read(file: &Path) -> Result<String, String> {
    let failed = |why: &dyn std::fmt::Display| format!("cannot read {}: {why}", file.display());
    let size = fs::metadata(file).map_err(|why| failed(&why))?.len();
    if size > MAX_SIZE {
        return Err(failed(&format!("it has {size} bytes, at most {MAX_SIZE} are allowed")));
    }
    let bytes = fs::read(file).map_err(|why| failed(&why))?;
    str::from_utf8(&bytes).map(str::to_owned).map_err(|_| failed(&"it is not UTF-8"))
}

/// Writes every file into a directory that is new or empty.
///
/// # Errors
/// The directory has files, or the file that cannot be written.
pub fn write(output: &Path, files: &[OutputFile]) -> Result<(), String> {
    let failed = |path: &Path, why: &io::Error| format!("cannot write {}: {why}", path.display());
    fs::create_dir_all(output).map_err(|why| failed(output, &why))?;
    if fs::read_dir(output).map_err(|why| failed(output, &why))?.next().is_some() {
        return Err(format!("{} is not empty; name a new directory with --output", output.display()));
    }
    for file in files {
        let path = output.join(&file.path);
        let parent = path.parent().unwrap_or(output);
        fs::create_dir_all(parent).map_err(|why| failed(parent, &why))?;
        let mode = if file.is_secret { 0o600 } else { 0o644 };
        let mut open = fs::OpenOptions::new();
        let opened = open.write(true).create_new(true).mode(mode).open(&path);
        opened.and_then(|mut out| out.write_all(file.text.as_bytes())).map_err(|why| failed(&path, &why))?;
    }
    Ok(())
}
