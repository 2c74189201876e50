//! Checks destinations for conflicts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::path::{canonical, normalized};
use super::placing::{DestUse, Placing, Symlink};
use super::problem::ValueError;

/// The maximum length of a file name (`limits.h`).
pub const MAX_NAME: usize = 255;

/// Which templates write which files, by resolved path.
pub struct Dests {
    /// The uses of each destination.
    uses: BTreeMap<PathBuf, Vec<DestUse>>,
    /// Files that rosterd reads, with a description.
    inputs: BTreeMap<PathBuf, &'static str>,
    /// The state directory.
    state_dir: PathBuf,
}

impl Dests {
    /// Creates an empty set.
    pub fn new(state_dir: &Path) -> Self {
        Self { uses: BTreeMap::new(), inputs: BTreeMap::new(), state_dir: canonical(state_dir) }
    }

    /// Adds a file that no template may write, because rosterd reads it.
    pub fn add_input(&mut self, file: &Path, what: &'static str) {
        self.inputs.insert(canonical(file), what);
    }

    /// Adds a destination. Several templates may share a file only if each writes its own block.
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

/// The resolved path of a destination: equal for two spellings of the same file, including links.
pub fn resolved(dest: &Path, placing: &Placing) -> PathBuf {
    if placing.symlink == Symlink::Follow && dest.exists() {
        return canonical(dest);
    }
    match (dest.parent(), dest.file_name()) {
        (Some(directory), Some(name)) => canonical(directory).join(name),
        _ => normalized(dest),
    }
}

/// Whether a destination, as written, is a directory.
pub fn is_directory(text: &str) -> bool {
    matches!(text.rsplit('/').next(), Some("" | "." | ".."))
}

/// Checks the length of the file name, including the suffix of its backups.
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
    let message = format!("the file name has {length} bytes{with}");
    Err(ValueError::new(message, format!("use a name of at most {} bytes", MAX_NAME - beside)))
}
