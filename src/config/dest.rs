//! Destinations: where one really is, and whose.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::placing::{DestUse, Placing, Symlink};
use super::problem::ValueError;

/// The longest name of a file (`limits.h`).
pub const MAX_NAME: usize = 255;

/// Whose file each one is, by where it really is.
pub struct Dests {
    /// What the templates so far say of their destinations.
    uses: BTreeMap<PathBuf, Vec<DestUse>>,
    /// Files that rosterd reads, and what they are.
    inputs: BTreeMap<PathBuf, &'static str>,
    /// Where it keeps its own.
    state_dir: PathBuf,
}

impl Dests {
    /// None yet, beside a state directory.
    pub fn new(state_dir: &Path) -> Self {
        Self { uses: BTreeMap::new(), inputs: BTreeMap::new(), state_dir: canonical(state_dir) }
    }

    /// A file that no template may write, because rosterd reads it.
    pub fn add_input(&mut self, file: &Path, what: &'static str) {
        self.inputs.insert(canonical(file), what);
    }

    /// Gives a destination to a template, where it is nobody else's but for other blocks of it.
    pub fn add(&mut self, dest: &Path, dest_use: DestUse) -> Result<(), ValueError> {
        let at = resolved(dest, &dest_use.placing);
        let shown = dest.display();
        if let Some(what) = self.inputs.get(&at) {
            return Err(ValueError::new(
                format!("dest {shown} is {what}"),
                "rosterd would overwrite its own input: use another dest",
            ));
        }
        if at.starts_with(&self.state_dir) {
            let hint = "rosterd keeps its own files there: use another dest";
            return Err(ValueError::new(format!("dest {shown} is in state_dir"), hint));
        }
        let uses = self.uses.entry(at).or_default();
        let conflict = uses.iter().find_map(|other| dest_use.conflict(&shown.to_string(), other));
        uses.push(dest_use);
        conflict.map_or(Ok(()), Err)
    }
}

/// Where the file of a destination is: two spellings of one place, also by a link, give the same.
pub fn resolved(dest: &Path, placing: &Placing) -> PathBuf {
    if placing.symlink == Symlink::Follow && dest.exists() {
        return canonical(dest);
    }
    match (dest.parent(), dest.file_name()) {
        (Some(directory), Some(name)) => canonical(directory).join(name),
        _ => normalized(dest),
    }
}

/// A path without links, as far as it is there; the rest of it by its letters.
pub fn canonical(path: &Path) -> PathBuf {
    let reached = path.ancestors().find_map(|there| {
        let rest = path.strip_prefix(there).ok()?;
        Some(normalized(&fs::canonicalize(there).ok()?.join(rest)))
    });
    reached.unwrap_or_else(|| normalized(path))
}

/// A path without `.` and `..`, by its letters alone.
fn normalized(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// Whether a destination's text names a directory rather than a file.
pub fn is_directory(text: &str) -> bool {
    matches!(text.rsplit('/').next(), Some("" | "." | ".."))
}

/// Whether a destination's name, and those of its previous files beside it, are no longer than a name can be.
pub fn name_fits(dest: &Path, placing: &Placing) -> Result<(), ValueError> {
    let length = dest.file_name().unwrap_or_default().len();
    let beside = match placing.backup {
        0 => 0,
        count => format!("..rosterd-{count}.bak").len(),
    };
    if length + beside <= MAX_NAME {
        return Ok(());
    }
    let with = if beside == 0 { String::new() } else { format!(", and {beside} more with `backup`") };
    let message = format!("the file's name has {length} bytes{with}");
    Err(ValueError::new(message, format!("give it one of up to {} bytes", MAX_NAME - beside)))
}
