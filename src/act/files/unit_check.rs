//! Checks that read the new files of a unit together.
//!
//! Until a unit is in place its new files have other names. A file that names files of its unit (`staged` in its
//! template) is therefore written twice: with their destinations, to be put in place, and as a copy with the paths of
//! the new files, for the checks. The copies are removed after the checks.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::config::{TemplateConfig, UnitPaths};
use crate::decide::{Failure, Stage};

use super::answer::write_failure;
use super::handle::Handle;
use super::stage::Staged;
use super::staging;
use super::writer::Writer;

/// What a template renders to.
#[derive(Debug)]
pub struct Rendered {
    /// The bytes for the destination.
    pub bytes: Vec<u8>,
    /// Renders the copy for the checks; `None` if the template does not name files of its unit.
    pub copy: Option<RenderCopy>,
}

/// The bytes of a copy, or why it cannot be rendered.
type CopyFuture = BoxFuture<'static, Result<Vec<u8>, String>>;

/// Renders a template with these paths of the files of its unit.
pub struct RenderCopy(pub Box<dyn FnOnce(Arc<UnitPaths>) -> CopyFuture + Send>);

impl fmt::Debug for RenderCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RenderCopy")
    }
}

impl From<Vec<u8>> for Rendered {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, copy: None }
    }
}

/// A new file of a unit.
#[derive(Debug)]
pub struct UnitFile {
    /// Its template.
    pub template: TemplateConfig,
    /// What the template renders to.
    pub rendered: Rendered,
    /// Where the new bytes are: staged, or at the destination if it has them already.
    pub path: PathBuf,
}

/// The new files of a unit as its checks find them. The copies are removed when this is dropped.
#[derive(Debug)]
pub struct UnitView {
    /// The path of each file.
    pub paths: Arc<UnitPaths>,
    copies: Vec<Handle<Staged>>,
}

impl UnitView {
    /// Writes the copies. An error names its template.
    pub async fn new(writer: &Writer, files: Vec<UnitFile>) -> Result<Self, (Arc<str>, Failure)> {
        let dests = files.iter().map(|file| (Arc::clone(&file.template.name), file.template.dest.clone())).collect();
        let (mut paths, mut reserved) = (UnitPaths::new(), Vec::new());
        // All paths are known before the first copy is rendered: two files may name each other.
        for UnitFile { template, rendered, path } in files {
            let Rendered { bytes, copy: Some(copy) } = rendered else {
                paths.insert(template.name, path);
                continue;
            };
            let name = Arc::clone(&template.name);
            let file = writer.call(move |state| staging::reserve(&template, state)).await.flatten();
            let file = file.map_err(|setback| (Arc::clone(&name), write_failure(&setback)))?;
            paths.insert(Arc::clone(&name), file.path());
            reserved.push((name, bytes, copy, Handle::new(writer, file)));
        }
        let mut view = Self { paths: Arc::new(paths), copies: Vec::new() };
        for (name, bytes, RenderCopy(render), file) in reserved {
            let failed = |stage, message: String| (Arc::clone(&name), Failure::new(stage, message));
            let copy = render(Arc::clone(&view.paths)).await.map_err(|message| failed(Stage::Render, message))?;
            if !is_same_but_for_paths(&copy, &bytes, &view.paths, &dests) {
                return Err(failed(Stage::Render, DIFFERS.to_owned()));
            }
            let Some(file) = file.take() else { continue };
            let written = writer.call(move |_| file.write(copy)).await.flatten();
            let written = written.map_err(|setback| (Arc::clone(&name), write_failure(&setback)))?;
            view.copies.push(Handle::new(writer, written));
        }
        Ok(view)
    }
}

/// The message for a copy that is not what its check is about.
const DIFFERS: &str = "the check would read another file than the one that is put in place: print `staged` values as \
                       they are, without a filter or a condition";

/// Whether a copy differs from the file that is put in place in nothing but paths: what is checked is then what is put
/// in place.
fn is_same_but_for_paths(copy: &[u8], file: &[u8], paths: &UnitPaths, dests: &BTreeMap<Arc<str>, PathBuf>) -> bool {
    let mut text = String::from_utf8_lossy(copy).into_owned();
    for (name, path) in paths {
        if let Some(dest) = dests.get(name).filter(|dest| *dest != path) {
            text = text.replace(&*path.to_string_lossy(), &dest.to_string_lossy());
        }
    }
    text.as_bytes() == file
}
