//! Views against a JSON Schema. Its references to other files are followed, and none to a network.

use std::path::Path;

use boon::{Compiler, Schemas};

use crate::error::{Exit, Fatal};

use super::json::{self, Object};
use super::path::{Env, Service};
use super::words::name;

/// Validates new views of a service.
///
/// # Errors
/// One does not match: where, and why. Or the schema cannot be used.
pub fn check(file: &Path, service: &Service, views: &[(Env, Object)]) -> Result<(), Fatal> {
    let shown = file.display();
    let mut schemas = Schemas::new();
    let compiled = Compiler::new().compile(&file.to_string_lossy(), &mut schemas);
    let schema = compiled.map_err(|why| Fatal::new(Exit::Config, format!("{shown} cannot be used: {why:#}")))?;
    for (env, view) in views {
        let env = name(service, env);
        let value = serde_json::from_slice(&json::bytes(view));
        let value: serde_json::Value = value.map_err(|why| Fatal::new(Exit::Failed, format!("{env}: {why}")))?;
        schemas.validate(&value, schema).map_err(|why| {
            // The first line names the schema.
            let why = why.to_string();
            let reasons = why.split_once('\n').map_or(&*why, |(_, reasons)| reasons);
            Fatal::new(Exit::Failed, format!("{env}: the view does not match {shown}; nothing was written:\n{reasons}"))
        })?;
    }
    Ok(())
}
