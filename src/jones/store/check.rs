//! What is wrong with a service in a ZooKeeper: its nodes, their access control lists, a change that is not finished.

use crate::error::{Cause, Exit, Fatal};
use crate::jones::acl;
use crate::jones::check::{Finding, findings};
use crate::jones::outside::outside;
use crate::jones::path::{Env, Service};
use crate::jones::tree::Tree;
use crate::model::node_path::NodePath;
use crate::text::command::rosterd;

use super::Store;
use super::pending::is_pending;

impl Store {
    /// Everything that is wrong with a service, and what is worth to know without being a fault.
    ///
    /// # Errors
    /// There is no such service, a node cannot be read, or the ensemble is not reached.
    pub async fn check(&mut self, service: &Service) -> Result<(Vec<Finding>, Vec<String>), Fatal> {
        let tree = self.any_tree(service).await?;
        let mut notes = Vec::new();
        if tree.envs.is_empty() && tree.orphans.is_empty() {
            return Err(Fatal::new(Exit::Failed, format!("there is no service {service}")).of(Cause::Missing));
        }
        let mut found = findings(&tree);
        if is_pending(&tree) {
            let text = format!("{service}: a staged change was not finished");
            found.insert(0, Finding { text, is_repairable: true });
        }
        found.extend(self.access(&tree, &mut notes).await?);
        let history = self.history(service).await?;
        for changed in outside(&tree, &history) {
            // It is no fault: Jones writes no history.
            notes.push(changed.text(service));
        }
        if history.is_empty() {
            let begin = rosterd(&["jones", "adopt", service.as_str()]);
            notes.push(format!("{service}: no history yet; begin one with `{begin}`"));
        }
        Ok((found, notes))
    }

    /// Masked access control lists, and those that differ from that of the environment above.
    async fn access(&mut self, tree: &Tree, notes: &mut Vec<String>) -> Result<Vec<Finding>, Fatal> {
        let lists = self.lists(tree).await?;
        let mut found = Vec::new();
        let masked = lists.iter().filter(|(_, list)| acl::is_masked(list)).map(|(path, _)| path);
        if let Some(path) = masked.into_iter().next() {
            notes.push(format!("{path}: its ACL is masked for these credentials, so they cannot create environments"));
        }
        let sorted = |path: &NodePath| {
            let mut list = lists.get(path)?.clone();
            list.sort_by(|one, other| (&one.scheme, &one.id, one.perms).cmp(&(&other.scheme, &other.id, other.perms)));
            Some(list)
        };
        for env in tree.envs.keys() {
            let Some(above) = env.parent() else { continue };
            let (own, parent) = (sorted(&tree.service.conf(env)), sorted(&tree.service.conf(&above)));
            if let (Some(own), Some(parent)) = (own, parent)
                && own != parent
            {
                let path = tree.service.conf(env);
                let text = format!(
                    "{path}: its ACL is not that of its parent: {}, not {}; if that is not wanted: {}",
                    acl::text(&own),
                    acl::text(&parent),
                    rosterd(&["jones", "acl", tree.service.as_str(), "--grant"])
                );
                found.push(Finding { text, is_repairable: false });
            }
        }
        Ok(found)
    }

    /// The services of Jones: other directories below `/services` are those of service discovery. One that may not be read
    /// is an error of its own.
    ///
    /// # Errors
    /// They cannot be listed, or the ensemble is not reached.
    pub async fn jones_services(&mut self) -> Result<Vec<(Service, Result<Tree, Fatal>)>, Fatal> {
        let mut services = Vec::new();
        for name in self.services().await? {
            let Ok(service) = Service::parse(&name) else { continue };
            match self.any_tree(&service).await {
                Ok(tree) if !tree.envs.contains_key(&Env::ROOT) => {}
                Err(why) if why.cause != Cause::Denied => return Err(why),
                read => services.push((service, read)),
            }
        }
        Ok(services)
    }
}
