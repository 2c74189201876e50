//! Writes a plan as one transaction, and again on top of what somebody else has written meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::sleep;

use crate::error::{Exit, Fatal};
use crate::jones::acl;
use crate::jones::entry::Entry;
use crate::jones::path::{Env, Service};
use crate::jones::plan::{self, Plan, Step};
use crate::jones::proposal::Proposal;
use crate::jones::records::{self, PREFIX};
use crate::jones::tree::Tree;
use crate::model::node_path::NodePath;
use crate::model::version::Zxid;
use crate::zk::{
    Acl, Connection, ConnectionLost, CreateMode, Done, NewNode, Operation, PERMS_ALL, Refusal, ServerError,
};

use super::history;
use super::{CHANGED, Stop, Store, failed};

/// The longest pause before a transaction is tried again. It is random, so that writers do not meet again.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// How many entries of a history are kept, if this session may delete older ones.
const MAX_ENTRIES: usize = 200;

/// How many bytes of entries are kept. ZooKeeper keeps all nodes in memory.
const MAX_HISTORY_BYTES: usize = 8 * 1024 * 1024;

/// How often the bytes of a history are counted: at every so many revisions.
const COUNT_INTERVAL: u64 = 16;

/// What a writer wants to publish.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The change.
    pub proposal: Proposal,
    /// The command, the author and the comment of the entry.
    pub entry: Entry,
    /// What is too large for one transaction is written in several.
    pub staged: bool,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// It was written.
    Done {
        /// The revision.
        revision: u64,
        /// The transaction, if its reply was received.
        zxid: Option<Zxid>,
    },
    /// The service is so already.
    Nothing,
    /// The reviewer declined.
    Declined,
}

/// What became of one transaction.
pub enum Sent {
    /// It was done: the revision, and the transaction.
    Done(u64, Zxid),
    /// Something that it depends on has changed.
    Raced,
}

impl Store {
    /// Publishes a change of a service that was read as `tree`. `review` sees each plan before it is written, and again
    /// if the plan has become another one because of somebody else's change.
    ///
    /// # Errors
    /// A rule or the reviewer refuses it, somebody else has changed the same, it is too large, or the ensemble is not
    /// reached. Nothing was written.
    pub async fn publish(
        &mut self,
        mut tree: Tree,
        publication: &Publication,
        mut review: impl AsyncFnMut(&Tree, &Plan) -> Result<bool, Fatal>,
    ) -> Result<Published, Fatal> {
        let service = tree.service.clone();
        let mut reviewed: Option<Plan> = None;
        let (mut may_be_done, mut attempts) = (false, 0);
        loop {
            let change = publication.proposal.rebase(&tree)?;
            if change.is_empty() {
                return Ok(Published::Nothing);
            }
            let planned = Plan::new(&tree, &change, publication.entry.clone());
            let mut plan = planned.map_err(|why| Fatal::new(Exit::Failed, why))?;
            let is_same =
                |other: &Plan| (&other.confs, &other.views, &other.hosts) == (&plan.confs, &plan.views, &plan.hosts);
            if !reviewed.as_ref().is_some_and(is_same) {
                if !review(&tree, &plan).await? {
                    return Ok(Published::Declined);
                }
                self.session.restart_limit();
                reviewed = Some(plan.clone());
            }
            if self.is_pending(&tree) {
                // Its views are those of somebody else's change.
                self.finish_pending(&service).await?;
                tree = self.again(&service).await?;
                continue;
            }
            self.fit(&service, &mut plan, publication.staged).await?;
            match self.send(&tree, &plan).await? {
                Ok(Sent::Done(revision, zxid)) => {
                    self.follow_up(&service, &plan).await?;
                    return Ok(Published::Done { revision, zxid: Some(zxid) });
                }
                Ok(Sent::Raced) if self.session.is_over() => {
                    let message = format!("{service} is being changed by others all the time: nothing was written");
                    return Err(Fatal::new(CHANGED, message));
                }
                Ok(Sent::Raced) => {}
                Err(lost) => {
                    may_be_done = true;
                    self.session.lost(&lost);
                }
            }
            attempts += 1;
            sleep(MAX_PAUSE.min(Duration::from_millis(10 << attempts.min(5))).mul_f64(fastrand::f64())).await;
            tree = self.again(&service).await?;
            if may_be_done && let Some(revision) = self.find(&service, &publication.entry.id).await? {
                self.follow_up(&service, &plan).await?;
                return Ok(Published::Done { revision, zxid: None });
            }
        }
    }

    /// Reads the service again after a race.
    async fn again(&mut self, service: &Service) -> Result<Tree, Fatal> {
        self.tree(service).await.map_err(|fatal| match fatal.exit {
            Exit::Unreached => {
                Fatal::new(Exit::Unreached, format!("{fatal}; whether the change was written is not known"))
            }
            _ => fatal,
        })
    }

    /// The entry with this id.
    async fn find(&mut self, service: &Service, id: &str) -> Result<Option<u64>, Fatal> {
        let history = self.history(service).await?;
        let mut newest = history.into_iter().rev();
        let is_it =
            |(_, recorded): &(u64, history::Recorded)| recorded.entry.as_ref().is_ok_and(|entry| entry.id == id);
        Ok(newest.find(is_it).map(|(revision, _)| revision))
    }

    /// Makes a plan as small as it can be.
    ///
    /// # Errors
    /// It is larger than a request may be: by how much.
    async fn fit(&mut self, service: &Service, plan: &mut Plan, staged: bool) -> Result<(), Fatal> {
        let limit = self.max_request;
        let too_large = |what: String| {
            Fatal::new(
                Exit::Failed,
                format!("{what}: over the limit of {limit} bytes for a request; nothing was written"),
            )
        };
        for step in &plan.steps {
            if let Step::Create(path, data) | Step::Set(path, data, _) = step
                && data.len() > limit
            {
                return Err(too_large(format!("{path} would have {} bytes", data.len())));
            }
        }
        let mut length = self.length(service, plan).await?;
        if length > limit {
            plan.shorten_entry();
            length = self.length(service, plan).await?;
        }
        if length > limit && staged {
            plan.stage(records::pending(service));
            length = self.length(service, plan).await?;
        }
        if length > limit {
            let (views, confs) = (plan.views.len(), plan.confs.len());
            let what = format!("the transaction with {confs} environments and {views} views has {length} bytes");
            let hint = if staged { "" } else { "; --staged writes it in several" };
            let fatal = too_large(what);
            return Err(Fatal::new(fatal.exit, format!("{fatal}{hint}")));
        }
        Ok(())
    }

    async fn length(&mut self, service: &Service, plan: &Plan) -> Result<usize, Fatal> {
        let connection = self.session.connection().await?;
        // Each new node has an access control list, which is not known yet.
        let acl = [Acl { perms: PERMS_ALL, scheme: "digest".into(), id: "x".repeat(200) }];
        let lists = Lists { create: BTreeMap::new(), default: &acl };
        let history = records::history(service).child(PREFIX);
        Ok(connection.multi_length(&operations(&plan.steps, &lists, history.as_str())))
    }

    /// Sends the transaction.
    async fn send(&mut self, tree: &Tree, plan: &Plan) -> Result<Result<Sent, ConnectionLost>, Fatal> {
        let auditor = self.auditor.clone();
        self.call_once(async |connection| {
            let entry_acl = ensure_history(connection, &tree.service, auditor.as_ref()).await?;
            send(connection, &tree.service, &plan.steps, &entry_acl).await
        })
        .await
    }

    /// After a transaction: an environment that Jones added meanwhile gets its view, and old entries are deleted.
    async fn follow_up(&mut self, service: &Service, plan: &Plan) -> Result<(), Fatal> {
        self.finish_pending(service).await?;
        for env in plan.confs.iter().filter(|diff| diff.after.is_some()).map(|diff| &diff.env) {
            self.repair(service, env).await?;
        }
        self.call(async |connection| prune(connection, service).await).await
    }

    /// Makes every view at or below an environment the fold again. Returns how many were written.
    ///
    /// # Errors
    /// A `conf` is not an object, a node cannot be written, or the ensemble is not reached.
    pub async fn repair(&mut self, service: &Service, env: &Env) -> Result<usize, Fatal> {
        let mut written = 0;
        loop {
            let tree = self.any_tree(service).await?;
            let steps = plan::repair(&tree, env).map_err(|why| Fatal::new(Exit::Failed, why))?;
            if steps.is_empty() {
                return Ok(written);
            }
            // The first ones, with all checks, if not all of them fit.
            let steps = self.first_that_fit(steps).await?;
            let views = steps.iter().filter(|step| !matches!(step, Step::Check(..))).count();
            match self.send_steps(service, &steps).await? {
                Ok(Sent::Done(..)) => written += views,
                Ok(Sent::Raced) => self.pause().await,
                Err(lost) => self.session.lost(&lost),
            }
        }
    }

    /// Sends steps without an entry.
    pub async fn send_steps(
        &mut self,
        service: &Service,
        steps: &[Step],
    ) -> Result<Result<Sent, ConnectionLost>, Fatal> {
        self.call_once(async |connection| send(connection, service, steps, &[]).await).await
    }

    /// Waits for a random time, so that writers do not meet again.
    pub async fn pause(&self) {
        sleep(MAX_PAUSE.mul_f64(fastrand::f64())).await;
    }

    /// The checks at the beginning, and as many of the other steps as fit in a request.
    pub async fn first_that_fit(&mut self, steps: Vec<Step>) -> Result<Vec<Step>, Fatal> {
        let connection = self.session.connection().await?;
        let lists = Lists { create: BTreeMap::new(), default: &[] };
        let checks = steps.iter().filter(|step| matches!(step, Step::Check(..))).count();
        let mut length = connection.multi_length(&operations(&steps[..checks], &lists, ""));
        let fits = |step: &&Step| {
            // With the access control list of a new node.
            length += 1000 + connection.multi_length(&operations(std::slice::from_ref(*step), &lists, ""));
            length <= self.max_request
        };
        let count = checks + steps[checks..].iter().take_while(fits).count().max(1);
        Ok(steps.into_iter().take(count).collect())
    }
}

/// The access control list of each node that a transaction creates.
pub struct Lists<'a> {
    /// By path.
    pub create: BTreeMap<&'a NodePath, Vec<Acl>>,
    /// That of the entry.
    pub default: &'a [Acl],
}

fn operations<'a>(steps: &'a [Step], lists: &'a Lists<'_>, history: &'a str) -> Vec<Operation<'a>> {
    let one = |step: &'a Step| match step {
        Step::Check(path, version) => Operation::Check { path: path.as_str(), version: *version },
        Step::Set(path, data, version) => Operation::SetData { path: path.as_str(), data, version: *version },
        Step::Delete(path, version) => Operation::Delete { path: path.as_str(), version: *version },
        Step::Create(path, data) => {
            let acl = lists.create.get(path).map_or(lists.default, Vec::as_slice);
            Operation::Create(NewNode { path: path.as_str(), data, acl, mode: CreateMode::Persistent })
        }
        Step::Record(data) => {
            let mode = CreateMode::PersistentSequential;
            Operation::Create(NewNode { path: history, data, acl: lists.default, mode })
        }
    };
    steps.iter().map(one).collect()
}

async fn send(connection: &Connection, service: &Service, steps: &[Step], entry: &[Acl]) -> Result<Sent, Stop> {
    let created: BTreeSet<&NodePath> =
        steps.iter().filter_map(|step| if let Step::Create(path, _) = step { Some(path) } else { None }).collect();
    let mut lists = Lists { create: BTreeMap::new(), default: entry };
    for path in &created {
        let above = std::iter::successors(parent(path), parent).find(|path| !created.contains(path));
        let above = above.unwrap_or_else(NodePath::root);
        match list_to_copy(connection, &above).await? {
            Some(list) => _ = lists.create.insert(path, list),
            None => return Ok(Sent::Raced),
        }
    }
    send_with(connection, service, steps, &lists).await
}

/// Sends a transaction whose new nodes get these lists.
pub async fn send_with(
    connection: &Connection,
    service: &Service,
    steps: &[Step],
    lists: &Lists<'_>,
) -> Result<Sent, Stop> {
    let history = records::history(service).child(PREFIX);
    let reply = connection.multi(&operations(steps, lists, history.as_str())).await?;
    match reply.value {
        Ok(Ok(done)) => {
            let digits = done.iter().find_map(|done| match done {
                Done::Created(path) if path.contains(history.as_str()) => {
                    path.rsplit_once('-').map(|(_, number)| number)
                }
                _ => None,
            });
            Ok(Sent::Done(digits.and_then(|digits| digits.parse().ok()).unwrap_or_default(), reply.zxid))
        }
        Ok(Err(Refusal { error: ServerError::BadVersion | ServerError::NoNode | ServerError::NodeExists, .. })) => {
            Ok(Sent::Raced)
        }
        Ok(Err(Refusal { at, error })) => {
            let (path, tried) = steps.get(at).map_or((history.as_str(), "create"), describe);
            let path = if path.is_empty() { history.as_str() } else { path };
            Err(failed(tried, path, error).into())
        }
        Err(error) => Err(failed("write", service.path().as_str(), error).into()),
    }
}

fn describe(step: &Step) -> (&str, &'static str) {
    match step {
        Step::Check(path, _) => (path.as_str(), "read"),
        Step::Create(path, _) => (path.as_str(), "create"),
        Step::Set(path, ..) => (path.as_str(), "write"),
        Step::Delete(path, _) => (path.as_str(), "delete"),
        Step::Record(_) => ("", "create an entry in"),
    }
}

fn parent(path: &NodePath) -> Option<NodePath> {
    let (above, _) = path.as_str().rsplit_once('/')?;
    if path.is_root() { None } else { NodePath::parse(if above.is_empty() { "/" } else { above }).ok() }
}

/// The access control list of a node, for a new node below it. `None`, if there is no such node.
pub async fn list_to_copy(connection: &Connection, path: &NodePath) -> Result<Option<Vec<Acl>>, Stop> {
    let list = super::found(connection.acl(path.as_str()).await, "read the ACL of", path)?;
    let Some((list, _)) = list else { return Ok(None) };
    if acl::is_masked(&list) {
        let message = format!(
            "the ACL of {path} is masked for these credentials ({}), so it cannot be copied to new nodes: nothing was \
             written; use credentials that may administrate the node",
            acl::text(&list)
        );
        return Err(Fatal::new(Exit::Failed, message).into());
    }
    Ok(Some(list))
}

/// Creates the directory of a service's history, if it is missing. Returns the list of its entries.
pub async fn ensure_history(
    connection: &Connection,
    service: &Service,
    auditor: Option<&Acl>,
) -> Result<Vec<Acl>, Stop> {
    let directory = records::history(service);
    let list = super::found(connection.acl(directory.as_str()).await, "read the ACL of", &directory)?;
    if let Some((list, _)) = list {
        // One that is open for writing shows its list to everybody.
        return Ok(acl::entry(&list));
    }
    let conf = service.conf(&Env::ROOT);
    let mut above: Vec<NodePath> = std::iter::successors(parent(&directory), parent).collect();
    above.retain(|path| !path.is_root());
    for path in above.into_iter().rev() {
        // The one of the service belongs to its writers, those above to all services.
        let like = if path == service.records() { conf.clone() } else { NodePath::root().child("services") };
        let like = list_to_copy(connection, &like).await?;
        let Some(list) = like.or(list_to_copy(connection, &conf).await?) else { continue };
        create_missing(connection, &path, &list).await?;
    }
    let Some(list) = list_to_copy(connection, &conf).await? else {
        return Err(Fatal::new(CHANGED, format!("{conf} was deleted meanwhile")).into());
    };
    let list = acl::history(&list, auditor);
    create_missing(connection, &directory, &list).await?;
    Ok(acl::entry(&list))
}

/// Creates a node without data, unless it exists.
pub async fn create_missing(connection: &Connection, path: &NodePath, acl: &[Acl]) -> Result<(), Stop> {
    let node = NewNode { path: path.as_str(), data: b"", acl, mode: CreateMode::Persistent };
    match connection.create(node).await?.value {
        Ok(()) | Err(ServerError::NodeExists) => Ok(()),
        // A node that may not be created may exist.
        Err(ServerError::NoAuth) if matches!(connection.exists(path.as_str(), false).await?.value, Ok(Some(_))) => {
            Ok(())
        }
        Err(error) => Err(failed("create", path.as_str(), error).into()),
    }
}

/// Deletes the oldest entries beyond the limits, if this session may.
async fn prune(connection: &Connection, service: &Service) -> Result<(), Stop> {
    let revisions = history::revisions(connection, service).await?;
    let mut old = revisions.len().saturating_sub(MAX_ENTRIES);
    if revisions.last().is_some_and(|last| last % COUNT_INTERVAL == 0) {
        let recorded = history::read(connection, service).await?;
        let mut bytes = 0;
        let kept = recorded.values().rev().take_while(|recorded| {
            bytes += recorded.bytes;
            bytes <= MAX_HISTORY_BYTES
        });
        old = old.max(recorded.len() - kept.count().max(1).min(recorded.len()));
    }
    for revision in revisions.into_iter().take(old) {
        let path = records::entry(service, revision);
        match connection.delete(path.as_str(), -1).await?.value {
            // Only an auditor may, if there is one.
            Err(ServerError::NoAuth) => break,
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
