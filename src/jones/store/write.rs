//! Writes a plan as one transaction, and again on top of what somebody else has written meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use crate::error::{Cause, Exit, Fatal};
use crate::jones::entry::Entry;
use crate::jones::path::{Env, Service};
use crate::jones::plan::{self, Plan, Step};
use crate::jones::proposal::Proposal;
use crate::jones::records::{self, PREFIX};
use crate::jones::tree::Tree;
use crate::model::version::Zxid;
use crate::zk::{Acl, Connection, ConnectionLost, PERMS_ALL, ServerError};

use super::history;
use super::transaction::{Lists, Sent, ensure_history, operations, send};
use super::{CHANGED, Stop, Store, unknown};

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

impl Store {
    /// Publishes a change of a service that was read as `tree`. `review` sees each plan before it is written, and again
    /// if the plan has become another one because of somebody else's change.
    ///
    /// # Errors
    /// A rule or the reviewer refuses it, somebody else has changed the same, it is too large, or the ensemble is not
    /// reached. Nothing was written, unless the error says that this is not known.
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
            let is_same = |other: &Plan| {
                (&other.confs, &other.views, &other.hosts, &other.frozen)
                    == (&plan.confs, &plan.views, &plan.hosts, &plan.frozen)
            };
            if !reviewed.as_ref().is_some_and(is_same) {
                if !review(&tree, &plan).await? {
                    return Ok(Published::Declined);
                }
                self.session.restart_limit();
                reviewed = Some(plan.clone());
            }
            if tree.frozen.contains_key(&records::pending(&service)) {
                // Its views are those of somebody else's change.
                self.finish_pending(&service).await?;
                tree = self.tree(&service).await?;
                continue;
            }
            self.fit(&service, &mut plan, publication.staged).await?;
            match self.send(&tree, &plan).await? {
                Ok(Sent::Done(revision, zxid)) => {
                    self.follow_up(&service, &plan, revision).await?;
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
            tree = self.tree(&service).await.map_err(|why| if may_be_done { unknown(why) } else { why })?;
            if may_be_done && let Some(revision) = self.find(&service, &publication.entry.id).await.map_err(unknown)? {
                self.follow_up(&service, &plan, revision).await?;
                return Ok(Published::Done { revision, zxid: None });
            }
        }
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
            .of(Cause::TooLarge)
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
            return Err(Fatal::new(fatal.exit, format!("{fatal}{hint}")).of(Cause::TooLarge));
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
        self.transact(async |connection| {
            let entry_acl = ensure_history(connection, &tree.service, auditor.as_ref()).await?;
            send(connection, &tree.service, &plan.steps, &entry_acl).await
        })
        .await
    }

    /// After a transaction: an environment that Jones added meanwhile gets its view, and old entries are deleted.
    async fn follow_up(&mut self, service: &Service, plan: &Plan, revision: u64) -> Result<(), Fatal> {
        let following = async {
            let pending = records::pending(service);
            if plan.steps.iter().any(|step| matches!(step, Step::Create(path, _) if *path == pending)) {
                self.finish_pending(service).await?;
            }
            let envs: Vec<&Env> = plan.confs.iter().filter(|diff| diff.after.is_some()).map(|diff| &diff.env).collect();
            let is_top = |env: &Env| !envs.iter().any(|other| *other != env && env.is_within(other));
            for env in envs.iter().filter(|env| is_top(env)) {
                self.repair(service, env).await?;
            }
            self.call(async |connection| prune(connection, service).await).await
        };
        following.await.map_err(|why: Fatal| {
            let message =
                format!("{service}: published as r{revision}, but its views could not be checked after that: {why}");
            Fatal::new(why.exit, message)
        })
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

/// Deletes the oldest entries beyond the limits, if this session may.
pub(super) async fn prune(connection: &Connection, service: &Service) -> Result<(), Stop> {
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
        // Only an auditor may, if there is one.
        if connection.delete(path.as_str(), -1).await?.value == Err(ServerError::NoAuth) {
            break;
        }
    }
    Ok(())
}
