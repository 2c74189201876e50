//! What `init` and `demo` share: files that never overwrite one, and the name of the program.

use std::ffi::OsStr;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::error::{Exit, Fatal};

/// Creates files with their directories, which only their owner may write. Creates none if one of them exists.
pub fn create(files: &[(&Path, &str)]) -> Result<(), Fatal> {
    let failed = |path: &Path, why: &io::Error| {
        let hint = match why.kind() {
            io::ErrorKind::PermissionDenied => " (run it as root, or name a directory of your own with --dir)",
            _ => "",
        };
        Fatal::new(Exit::Failed, format!("cannot create {}: {why}{hint}", path.display()))
    };
    if let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        let message = format!("{} exists, and is not overwritten: name another directory with --dir", path.display());
        return Err(Fatal::new(Exit::Usage, message));
    }
    for (path, text) in files {
        let parent = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(|why| failed(parent, &why))?;
        let created = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
        created.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|why| failed(path, &why))?;
    }
    Ok(())
}

/// The program as it can be typed in another terminal.
pub fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    match std::env::current_exe() {
        // A bare name is found in PATH there, too.
        Ok(program) if Path::new(&called).file_name() != Some(OsStr::new(&called)) => program.display().to_string(),
        _ => "rosterd".to_owned(),
    }
}
