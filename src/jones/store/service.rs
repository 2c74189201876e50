//! Creates and deletes whole services.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Exit, Fatal};
use crate::jones::acl;
use crate::jones::entry::{Before, Entry, EnvChange};
use crate::jones::json::Object;
use crate::jones::outside::{self, outside};
use crate::jones::path::{Env, Service};
use crate::jones::plan::Step;
use crate::jones::records;
use crate::jones::tree::Tree;
use crate::jones::words::{listed, name};
use crate::model::node_path::NodePath;
use crate::zk::{Acl, Connection, ConnectionLost};

use super::transaction::{Lists, Sent, create_missing, list_to_copy, send, send_with};
use super::write::prune;
use super::{CHANGED, Stop, Store};

impl Store {
    /// Creates what a service lacks of its nodes, each with this access control list, or with that of `/services`.
    /// Returns the revision.
    ///
    /// # Errors
    /// It exists already, a node cannot be created, or the ensemble is not reached.
    pub async fn init(&mut self, service: &Service, list: Option<&[Acl]>, entry: Entry) -> Result<u64, Fatal> {
        let auditor = self.auditor.clone();
        let change = EnvChange { env: Env::ROOT, before: None, after: Some(Object::new()) };
        let entry = Entry { changes: vec![change], ..entry };
        let done = self.transact(async |connection| {
            let list = prepare(connection, service, list, auditor.as_ref()).await?;
            let mut steps = Vec::new();
            let nodes: [(NodePath, &[u8]); 4] = [
                (service.path(), b""),
                (service.nodemaps(), b""),
                (service.conf(&Env::ROOT), b"{}"),
                (service.view(&Env::ROOT), b"{}"),
            ];
            for (path, data) in nodes {
                let exists = super::found(connection.exists(path.as_str(), false).await, "read", &path)?.flatten();
                if exists.is_none() {
                    steps.push(Step::Create(path, data.to_vec()));
                } else if path == service.conf(&Env::ROOT) {
                    return Err(Fatal::new(Exit::Failed, format!("the service {service} exists already")).into());
                }
            }
            steps.push(Step::Record(entry.write()));
            let create = steps.iter().filter_map(|step| match step {
                Step::Create(path, _) => Some((path, list.clone())),
                _ => None,
            });
            let lists =
                Lists { create: create.collect(), default: &acl::entry(&acl::history(&list, auditor.as_ref())) };
            send_with(connection, service, &steps, &lists).await
        });
        revision(service, done.await?, &format!("{service} was created"))
    }

    /// Deletes a service that has no environment but the root one, and no associations. Returns the revision.
    ///
    /// # Errors
    /// It has more, it was changed meanwhile, a node cannot be deleted, or the ensemble is not reached.
    pub async fn delete_service(&mut self, tree: &Tree, entry: Entry) -> Result<u64, Fatal> {
        let service = &tree.service;
        let refused = |why: &str| Fatal::new(Exit::Failed, format!("{service} {why}"));
        if tree.envs.len() > 1 || !tree.orphans.is_empty() {
            return Err(refused("has environments below its root environment; delete them first"));
        }
        if tree.hosts().next().is_some() {
            return Err(refused("has associated hosts; dissociate them first"));
        }
        let mut steps = Vec::new();
        if let Some(stat) = tree.nodemaps.as_ref().ok().and_then(|node| node.stat) {
            steps.push(Step::Delete(service.nodemaps(), stat.version));
        }
        let mut before = None;
        if let Some(root) = tree.envs.get(&Env::ROOT) {
            before = Some(Before { version: root.conf.stat.version, conf: root.conf.object.clone().ok() });
            steps.extend(root.view.iter().map(|view| Step::Delete(service.view(&Env::ROOT), view.stat.version)));
            steps.push(Step::Delete(service.conf(&Env::ROOT), root.conf.stat.version));
        }
        let below = tree.frozen.iter().rev().filter(|(path, _)| service.path().segments_below(path.as_str()).is_some());
        steps.extend(below.map(|(path, node)| Step::Delete(path.clone(), node.stat.version)));
        let arrows = records::arrows(service);
        steps.extend(tree.frozen.get(&arrows).map(|node| Step::Delete(arrows, node.stat.version)));
        steps.push(Step::Delete(service.path(), -1));
        let change = EnvChange { env: Env::ROOT, before, after: None };
        steps.push(Step::Record(Entry { changes: vec![change], ..entry }.write()));
        self.send_recorded(service, &steps, &format!("{service} was deleted")).await
    }
}

/// The revision of a transaction. `done` is what it was to do.
fn revision(service: &Service, sent: Result<Sent, ConnectionLost>, done: &str) -> Result<u64, Fatal> {
    match sent {
        Ok(Sent::Done(revision, _)) => Ok(revision),
        Ok(Sent::Raced) => Err(Fatal::new(CHANGED, format!("{service} was changed by somebody else meanwhile"))),
        Err(lost) => Err(Fatal::new(Exit::Unreached, format!("{lost}; whether {done} is not known"))),
    }
}

/// Creates the nodes above a new service, and its history. Returns the list of the service's nodes.
async fn prepare(
    connection: &Connection,
    service: &Service,
    list: Option<&[Acl]>,
    auditor: Option<&Acl>,
) -> Result<Vec<Acl>, Stop> {
    let services = NodePath::root().child("services");
    let above = if let Some(above) = list_to_copy(connection, &services).await? {
        above
    } else {
        let above = list_to_copy(connection, &NodePath::root()).await?.unwrap_or_default();
        create_missing(connection, &services, &above).await?;
        above
    };
    let list = list.map_or_else(|| above.clone(), <[Acl]>::to_vec);
    let (records, history) = (service.records(), records::history(service));
    for (path, list) in [
        (NodePath::root().child("rosterd"), &above),
        (NodePath::root().child("rosterd").child("jones"), &above),
        (records, &list),
        (history, &acl::history(&list, auditor)),
    ] {
        create_missing(connection, &path, list).await?;
    }
    Ok(list)
}

impl Store {
    /// Adds an entry to the history, if these checks hold. Returns the revision.
    ///
    /// # Errors
    /// They do not hold, the entry cannot be created, or the ensemble is not reached.
    pub async fn record(&mut self, service: &Service, checks: &[Step], entry: &Entry) -> Result<u64, Fatal> {
        let mut steps = checks.to_vec();
        steps.push(Step::Record(entry.write()));
        self.send_recorded(service, &steps, "the entry was written").await
    }

    /// Sends a transaction with an entry of the history. `done` is what it did, for errors. Returns the revision.
    async fn send_recorded(&mut self, service: &Service, steps: &[Step], done: &str) -> Result<u64, Fatal> {
        let auditor = self.auditor.clone();
        let sent = self.transact(async |connection| {
            let list = super::transaction::ensure_history(connection, service, auditor.as_ref()).await?;
            send(connection, service, steps, &list).await
        });
        revision(service, sent.await?, done)
    }

    /// Records every change that was made outside of the history, and deletes old entries. `entry` has the author. The
    /// new entries are added to `recorded` by revision, also before an error: none if there is no history yet, or
    /// somebody else has recorded the changes.
    ///
    /// # Errors
    /// An entry cannot be created, a change cannot be recorded (all others are), or the ensemble is not reached.
    pub async fn record_outside(
        &mut self,
        service: &Service,
        entry: &Entry,
        recorded: &mut BTreeMap<u64, Entry>,
    ) -> Result<(), Fatal> {
        let mut done = BTreeSet::new();
        loop {
            let tree = self.any_tree(service).await?;
            let found = outside(&tree, &self.history(service).await?);
            let recording = outside::recording(&tree, &found, entry.clone(), self.max_request);
            if recording.entry.changes.is_empty() {
                let why = recording.refused;
                return if why.is_empty() { Ok(()) } else { Err(Fatal::new(Exit::Failed, listed(&why))) };
            }
            if let Some((env, _)) = recording.keys.iter().find(|key| done.contains(*key)) {
                let message = format!("{}: was recorded, but is not found in the history", name(service, env));
                return Err(Fatal::new(Exit::Failed, message));
            }
            match self.record(service, &recording.steps, &recording.entry).await {
                Ok(revision) => {
                    recorded.insert(revision, recording.entry);
                    done.extend(recording.keys);
                    self.call(async |connection| prune(connection, service).await).await?;
                }
                Err(fatal) if fatal.exit == CHANGED && !self.session.is_over() => self.pause().await,
                Err(fatal) => return Err(fatal),
            }
        }
    }

    /// The access control list of each node of a service.
    ///
    /// # Errors
    /// One cannot be read, or the ensemble is not reached.
    pub async fn lists(&mut self, tree: &Tree) -> Result<BTreeMap<NodePath, Vec<Acl>>, Fatal> {
        let service = &tree.service;
        let mut paths = vec![service.path()];
        paths.extend(tree.nodemaps.as_ref().ok().and_then(|node| node.stat).map(|_| service.nodemaps()));
        for (env, nodes) in &tree.envs {
            paths.push(service.conf(env));
            paths.extend(nodes.view.as_ref().map(|_| service.view(env)));
        }
        paths.extend(tree.orphans.iter().map(|env| service.view(env)));
        paths.extend(tree.frozen.keys().cloned());
        self.call(async |connection| {
            let read = paths.iter().map(async |path| {
                let list = super::found(connection.acl(path.as_str()).await, "read the ACL of", path)?;
                Ok::<_, Stop>(list.map(|(list, _)| (path.clone(), list)))
            });
            Ok(futures_util::future::try_join_all(read).await?.into_iter().flatten().collect())
        })
        .await
    }

    /// Adds entries to the access control lists of nodes, from the leaves up, so that a loss of connection leaves the
    /// upper nodes as they were, and lets those who may write add to the history.
    ///
    /// # Errors
    /// A list is masked or cannot be set. The nodes below it may have been changed.
    pub async fn grant(
        &mut self,
        service: &Service,
        lists: &BTreeMap<NodePath, Vec<Acl>>,
        granted: &[Acl],
    ) -> Result<(), Fatal> {
        for (path, list) in lists {
            if acl::is_masked(list) {
                let message = format!("the ACL of {path} is masked for these credentials: nothing was written");
                return Err(Fatal::new(Exit::Failed, message));
            }
        }
        let history = records::history(service);
        let old = self.list(&history).await?;
        if let Some(old) = old {
            let new = acl::extended_history(&old, granted);
            if new != old {
                self.set_list(&history, &new).await?;
            }
        }
        for (path, list) in lists.iter().rev() {
            self.set_list(path, &acl::extended(list, granted)).await?;
        }
        Ok(())
    }

    /// Whether the history of a service has an auditor.
    ///
    /// # Errors
    /// Its list cannot be read, or the ensemble is not reached.
    pub async fn is_audited(&mut self, service: &Service) -> Result<bool, Fatal> {
        Ok(self.list(&records::history(service)).await?.is_some_and(|list| acl::is_audited(&list)))
    }

    /// Names who may prune the history of a service. Its writers can then add to it, but not change it: neither the
    /// directory, nor the entries that it has.
    ///
    /// # Errors
    /// There is no such service, a list is masked or cannot be set.
    pub async fn set_auditor(&mut self, service: &Service, auditor: &Acl) -> Result<(), Fatal> {
        let conf = service.conf(&Env::ROOT);
        let list = self.list(&conf).await?.unwrap_or_default();
        if acl::is_masked(&list) {
            let message = format!("the ACL of {conf} is masked for these credentials: nothing was written");
            return Err(Fatal::new(Exit::Failed, message));
        }
        self.call(async |connection| super::transaction::ensure_history(connection, service, Some(auditor)).await)
            .await?;
        let list = acl::history(&list, Some(auditor));
        self.set_list(&records::history(service), &list).await?;
        let revisions = self.call(async |connection| super::history::revisions(connection, service).await).await?;
        for path in revisions.into_iter().map(|revision| records::entry(service, revision)) {
            if self.list(&path).await?.is_some_and(|old| acl::is_writable(&old)) {
                self.set_list(&path, &acl::entry(&list)).await?;
            }
        }
        Ok(())
    }

    /// The access control list of a node; `None` if there is no such node.
    async fn list(&mut self, path: &NodePath) -> Result<Option<Vec<Acl>>, Fatal> {
        self.call(async |connection| {
            let list = super::found(connection.acl(path.as_str()).await, "read the ACL of", path)?;
            Ok(list.map(|(list, _)| list))
        })
        .await
    }

    async fn set_list(&mut self, path: &NodePath, list: &[Acl]) -> Result<(), Fatal> {
        self.call(async |connection| match connection.set_acl(path.as_str(), list, -1).await?.value {
            Ok(()) => Ok(()),
            Err(error) => Err(super::failed("set the ACL of", path.as_str(), error).into()),
        })
        .await
    }
}
