//! Puts rendered files elsewhere than at their destinations: `render --output`, and `test`.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::act::files;
use crate::act::files::Writer;
use crate::act::files::answer::write_failure;
use crate::config::TemplateConfig;
use crate::config::path::normalized;
use crate::decide::Outcome;
use crate::error::Setback;

/// The mode of a file whose template has none.
const MODE: u32 = 0o644;

/// Where rendered files go. Nothing is checked or reloaded.
#[derive(Debug, Clone)]
pub enum Output {
    /// Below this directory, each with the path of its destination.
    Directory(PathBuf),
    /// In memory, by the name of the template.
    Memory(Rendered),
}

/// Rendered files by the name of their template.
pub type Rendered = Arc<Mutex<BTreeMap<Arc<str>, Vec<u8>>>>;

impl Output {
    /// The path of a file in the output.
    pub fn path(&self, dest: &Path) -> PathBuf {
        match self {
            Self::Directory(directory) => below(directory, dest),
            Self::Memory(_) => dest.to_owned(),
        }
    }

    /// Puts a rendered file.
    pub async fn put(&self, writer: &Writer, template: &TemplateConfig, mut bytes: Vec<u8>) -> Outcome {
        let root = match self {
            Self::Directory(directory) => directory.clone(),
            Self::Memory(rendered) => {
                let mut rendered = rendered.lock().unwrap_or_else(PoisonError::into_inner);
                rendered.insert(Arc::clone(&template.name), bytes);
                return Outcome::WouldReplace;
            }
        };
        if template.placing.block.is_some() {
            // The whole file, with the block in it.
            match files::compare(writer, template, &bytes).await {
                Ok(compared) => bytes = compared.new,
                Err(setback) => return failed(&setback),
            }
        }
        let path = below(&root, &template.dest);
        // The mode of the file on this host, which may have secrets.
        let current = fs::metadata(&template.dest).ok().map(|meta| meta.permissions().mode() & 0o777);
        let mode = template.mode.or(current).unwrap_or(MODE);
        let shown = path.display().to_string();
        let written = tokio::task::spawn_blocking(move || {
            reject_links(&root, &path)?;
            replace(&path, &bytes, mode)
        });
        match written.await.map_err(io::Error::other).flatten() {
            Ok(true) => Outcome::Replaced,
            Ok(false) => Outcome::Unchanged,
            Err(why) => failed(&Setback::new(format!("write {shown}"), why)),
        }
    }
}

/// The path of a destination below the output directory.
fn below(root: &Path, dest: &Path) -> PathBuf {
    let dest = normalized(dest);
    root.join(dest.strip_prefix("/").unwrap_or(&dest))
}

fn failed(setback: &Setback) -> Outcome {
    Outcome::Failed(write_failure(setback))
}

/// Fails if a part of the path below the output directory is a symbolic link: it may lead to the files of this host.
fn reject_links(root: &Path, path: &Path) -> io::Result<()> {
    let below = path.strip_prefix(root).map_err(io::Error::other)?;
    let mut at = root.to_owned();
    for part in below.components() {
        at.push(part);
        if fs::symlink_metadata(&at).is_ok_and(|meta| meta.is_symlink()) {
            let shown = at.display();
            return Err(io::Error::other(format!(
                "{shown} is a symbolic link, which may lead to the files of this host: remove it, or write to a new directory"
            )));
        }
    }
    Ok(())
}

/// Replaces a file that has other bytes. Returns whether it had.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let mut staged = tempfile::Builder::new().prefix(".rosterd-").tempfile_in(directory)?;
    staged.write_all(bytes)?;
    staged.as_file().set_permissions(Permissions::from_mode(mode))?;
    staged.persist(path).map_err(|failed| failed.error)?;
    Ok(true)
}
