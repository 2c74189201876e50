//! Deletes and creates single nodes, for `check --repair`.

use crate::error::{Exit, Fatal};
use crate::model::node_path::NodePath;
use crate::zk::{Operation, ServerError};

use super::transaction::{create_missing, list_to_copy};
use super::{CHANGED, Store, failed, found};

impl Store {
    /// Deletes nodes in this order, in one transaction, if they do not change meanwhile.
    ///
    /// # Errors
    /// One has changed or cannot be deleted. Nothing was deleted then.
    pub async fn delete_unchanged(&mut self, paths: &[NodePath]) -> Result<(), Fatal> {
        if paths.is_empty() {
            return Ok(());
        }
        self.call(async |connection| {
            let mut versions = Vec::new();
            for path in paths {
                let stat = found(connection.exists(path.as_str(), false).await, "read", path)?.flatten();
                versions.extend(stat.map(|stat| (path, stat.version)));
            }
            let delete = |(path, version): &(&NodePath, i32)| (path.as_str().to_owned(), *version);
            let deletes: Vec<(String, i32)> = versions.iter().map(delete).collect();
            let operations: Vec<Operation<'_>> =
                deletes.iter().map(|(path, version)| Operation::Delete { path, version: *version }).collect();
            match connection.multi(&operations).await?.value {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(refusal)) => {
                    let path = deletes.get(refusal.at).map_or("", |(path, _)| path);
                    let fatal = failed("delete", path, refusal.error);
                    let has_changed = matches!(refusal.error, ServerError::BadVersion | ServerError::NoNode);
                    let exit = if has_changed { CHANGED } else { Exit::Failed };
                    Err(Fatal::new(exit, fatal.message).into())
                }
                Err(error) => Err(failed("delete", paths[0].as_str(), error).into()),
            }
        })
        .await
    }

    /// Creates an empty node with the access control list of another one, unless it exists.
    ///
    /// # Errors
    /// It cannot be created, or the ensemble is not reached.
    pub async fn create_like(&mut self, path: &NodePath, like: &NodePath) -> Result<(), Fatal> {
        self.call(async |connection| match list_to_copy(connection, like).await? {
            Some(list) => create_missing(connection, path, &list).await,
            None => Ok(()),
        })
        .await
    }

    /// Whether a node has no data and no children, and no session owns it.
    ///
    /// # Errors
    /// It cannot be read, or the ensemble is not reached.
    pub async fn is_bare(&mut self, path: &NodePath) -> Result<bool, Fatal> {
        self.call(async |connection| {
            let stat = found(connection.exists(path.as_str(), false).await, "read", path)?.flatten();
            Ok(stat.is_some_and(|stat| stat.data_length == 0 && stat.num_children == 0 && stat.ephemeral_owner == 0))
        })
        .await
    }

    /// Whether a node has no data.
    ///
    /// # Errors
    /// It cannot be read, or the ensemble is not reached.
    pub async fn has_no_data(&mut self, path: &NodePath) -> Result<bool, Fatal> {
        self.call(async |connection| {
            let stat = found(connection.exists(path.as_str(), false).await, "read", path)?.flatten();
            Ok(stat.is_some_and(|stat| stat.data_length == 0))
        })
        .await
    }
}
