//! Changes that are too large for one transaction: the confs first, with a node that says so, then the views in parts.

use crate::error::{Exit, Fatal};
use crate::jones::path::{Env, Service};
use crate::jones::plan::{self, Step};
use crate::jones::records;
use crate::jones::tree::Tree;

use super::Store;
use super::transaction::Sent;

/// Whether a change of a service is not finished.
pub fn is_pending(tree: &Tree) -> bool {
    tree.frozen.contains_key(&records::pending(&tree.service))
}

impl Store {
    /// Finishes a change that was written in parts, by whomever. Does nothing if there is none.
    ///
    /// # Errors
    /// A `conf` is not an object, a node cannot be written, or the ensemble is not reached.
    pub async fn finish_pending(&mut self, service: &Service) -> Result<(), Fatal> {
        loop {
            let tree = self.any_tree(service).await?;
            let path = records::pending(service);
            let Some(pending) = tree.frozen.get(&path) else { return Ok(()) };
            let version = pending.stat.version;
            let steps = plan::repair(&tree, &Env::ROOT).map_err(|why| Fatal::new(Exit::Failed, why))?;
            let steps = if steps.is_empty() {
                // The views are folds of these versions.
                let check = |(env, nodes): (&Env, &crate::jones::tree::EnvNodes)| {
                    Step::Check(service.conf(env), nodes.conf.stat.version)
                };
                tree.envs.iter().map(check).chain([Step::Delete(path, version)]).collect()
            } else {
                let guarded: Vec<Step> = [Step::Check(path, version)].into_iter().chain(steps).collect();
                self.first_that_fit(guarded).await?
            };
            match self.send_steps(service, &steps).await? {
                Ok(Sent::Done(..)) => {}
                Ok(Sent::Raced) => self.pause().await,
                Err(lost) => self.session.lost(&lost),
            }
        }
    }
}
