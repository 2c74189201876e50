//! The state that an agent inherits from the previous run in its state directory.

use std::sync::Arc;

use crate::act::files;
use crate::act::files::{CurrentConfig, Writer};
use crate::config::TemplateConfig;
use crate::error::{Exit, Fatal};
use crate::load::setup::Setup;
use crate::state::append_log::Access;
use crate::state::owned_files::OwnedFiles;

/// The file thread and the inherited state of a state directory.
pub struct Inherited {
    /// Writes files and records replacements in the journal.
    pub writer: Writer,
    /// Whether this process holds the lock of the state directory.
    pub access: Access,
    /// The files of templates with `each` that the agent owns; `None` without a state directory.
    pub owned_files: Option<OwnedFiles>,
    /// A template for each pending reload.
    pub owed: Vec<Arc<TemplateConfig>>,
}

impl Inherited {
    /// Inherits a state directory that this process has locked, and finishes interrupted replacements.
    ///
    /// # Errors
    /// The system refuses a thread, or the file thread has failed.
    pub async fn recover(setup: &Setup) -> Result<Self, Fatal> {
        let state_dir = &setup.config.agent.state_dir;
        let (writer, owned_files) = (start_writer(setup)?, OwnedFiles::open(state_dir, Access::ReadWrite));
        let present = present(&setup.config.templates, &owned_files);
        let owed = files::recover(&writer, state_dir, present).await;
        let owed = owed.map_err(|setback| Fatal::new(Exit::Failed, setback.to_string()))?;
        Ok(Self { writer, access: Access::ReadWrite, owned_files: Some(owned_files), owed })
    }

    /// Reads a state directory, if there is one, without changing it.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn read(setup: &Setup) -> Result<Self, Fatal> {
        let open = || OwnedFiles::open(&setup.config.agent.state_dir, Access::ReadOnly);
        let (writer, owned_files) = (start_writer(setup)?, setup.stateful.then(open));
        Ok(Self { writer, access: Access::ReadOnly, owned_files, owed: Vec::new() })
    }
}

/// Starts the thread that writes files.
fn start_writer(setup: &Setup) -> Result<Writer, Fatal> {
    let writer = Writer::start()
        .map_err(|why| Fatal::new(Exit::Failed, format!("cannot start the thread that writes files: {why}")))?;
    writer.trust(setup.config.agent.trust.clone());
    Ok(writer)
}

/// The files of this configuration, and the existing files of keys.
fn present(templates: &[Arc<TemplateConfig>], owned_files: &OwnedFiles) -> CurrentConfig {
    let written = owned_files.written(templates);
    let files = templates.iter().flat_map(|template| {
        let keys = written.get(&template.name).into_iter().flatten();
        let of_keys = keys.filter_map(|key| template.for_key(key).ok().map(Arc::new));
        let single = template.pattern().is_none().then(|| Arc::clone(template));
        single.into_iter().chain(of_keys)
    });
    CurrentConfig { templates: files.collect(), files: owned_files.files() }
}
