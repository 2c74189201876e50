//! `[jones] record`: changes of Jones's services that were made outside of their history are added to it.
//!
//! Each registry has a task and a session of its own, so that rendering never waits for it. Several agents may record
//! the same service: the first one adds the entry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch as channel};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Config, RegistryConfig, RegistryUrl};
use crate::decide::Event;
use crate::error::{Exit, Fatal};
use crate::jones::entry::Entry;
use crate::jones::path::{Env, Service};
use crate::jones::store::with_store;
use crate::log::emit;
use crate::model::node_path::Subject;
use crate::model::registry_event::Update;
use crate::text::time::utc;
use crate::watch::{self, StateAccess};

/// How long after a change the service is read, so that one pass records what is changed at once. It is up to doubled at
/// random, so that of several agents most find the entry of another one.
const SETTLE: Duration = Duration::from_secs(1);

/// When a failed pass is repeated. An event of its service repeats it earlier.
const RETRY: Duration = Duration::from_mins(1);

/// The time limit of a pass.
const LIMIT: Duration = Duration::from_secs(30);

/// The services to record, with their registry.
type Recording = (Arc<RegistryConfig>, BTreeSet<Service>);

/// Records the services of the configuration in force.
#[derive(Debug, Default)]
pub struct JonesRecorder {
    recordings: Vec<Recording>,
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl JonesRecorder {
    /// Records the services of a configuration from now on. A recording that stays the same goes on.
    pub fn configure(&mut self, config: &Config, host: &str) {
        let recordings = recordings(config);
        if recordings == self.recordings {
            return;
        }
        let task = |(registry, services): &Recording| {
            let task = Task {
                registry: Arc::clone(registry),
                state: StateAccess::ReadOnly(config.agent.state_dir.clone()),
                via: format!("rosterd run on {host}"),
                services: services.iter().map(|service| (service.clone(), BTreeSet::new())).collect(),
                failures: BTreeMap::new(),
            };
            AbortOnDropHandle::new(tokio::spawn(task.run()))
        };
        self.tasks = recordings.iter().map(task).collect();
        self.recordings = recordings;
    }
}

/// The services of the `[[key]]`s with `jones`, if they are to be recorded.
fn recordings(config: &Config) -> Vec<Recording> {
    let of = |registry: &Arc<RegistryConfig>| {
        let keys = config.keys.iter().filter(|key| key.registry == registry.name);
        let services = keys.filter_map(|key| match &key.subject {
            Subject::Mapped { service, .. } => Service::parse(service.name()).ok(),
            _ => None,
        });
        (Arc::clone(registry), services.collect::<BTreeSet<_>>())
    };
    let registries = config.registries.iter().filter(|it| matches!(it.url, RegistryUrl::ZooKeeper { .. }));
    let all = registries.filter(|_| config.jones.record).map(of);
    all.filter(|(_, services)| !services.is_empty()).collect()
}

struct Task {
    registry: Arc<RegistryConfig>,
    state: StateAccess,
    via: String,
    /// Each service with its environments.
    services: BTreeMap<Service, BTreeSet<Env>>,
    /// The services whose last pass failed, and why.
    failures: BTreeMap<Service, String>,
}

impl Task {
    async fn run(mut self) {
        loop {
            self.follow().await;
            // The registry client has reported its end.
            sleep(RETRY).await;
        }
    }

    /// Records changes until the registry is no longer followed.
    async fn follow(&mut self) {
        let (subjects, followed) = channel::channel(self.subjects());
        let (tell, mut told) = mpsc::channel(1);
        let following = watch::open(&self.registry, &self.state).follow(followed, tell, CancellationToken::new());
        let _following = AbortOnDropHandle::new(tokio::spawn(following));
        let mut due = BTreeSet::new();
        loop {
            let limit = if due.is_empty() { Duration::MAX } else { RETRY };
            match timeout(limit, told.recv()).await {
                Ok(Some(event)) => due.extend(self.changed(&event.update)),
                Ok(None) => return,
                Err(_) => {}
            }
            let settled = sleep(SETTLE.mul_f64(1.0 + fastrand::f64()));
            tokio::pin!(settled);
            loop {
                tokio::select! {
                    () = &mut settled => break,
                    Some(event) = told.recv() => due.extend(self.changed(&event.update)),
                }
            }
            let mut failed = BTreeSet::new();
            for service in std::mem::take(&mut due) {
                let done = self.pass(&service).await.and_then(|(recorded, done)| {
                    report_recorded(&service, recorded);
                    done
                });
                if done.is_err() {
                    failed.insert(service.clone());
                }
                self.report(service, done);
            }
            due = failed;
            let wanted = self.subjects();
            subjects.send_if_modified(|subjects| std::mem::replace(subjects, wanted.clone()) != wanted);
        }
    }

    /// Each `conf`: that of the root environment, and the members of each one, which are those below it.
    fn subjects(&self) -> watch::Subjects {
        let root = |service: &Service| Subject::Node(service.conf(&Env::ROOT));
        let below = |(service, envs): (&Service, &BTreeSet<Env>)| {
            envs.iter().map(|env| Subject::Members(service.conf(env))).collect::<Vec<_>>()
        };
        let subjects = self.services.keys().map(root).chain(self.services.iter().flat_map(below));
        subjects.map(|subject| (subject, 0)).collect()
    }

    /// The service that an update is about.
    fn changed(&self, update: &Update) -> Option<Service> {
        let (Update::Reset { subject, .. } | Update::Changed { subject, .. }) = update else { return None };
        let is_of = |service: &&Service| service.path().segments_below(subject.top().as_str()).is_some();
        self.services.keys().find(is_of).cloned()
    }

    /// Records what was changed outside of the history of a service. Returns the new entries, and whether they are all.
    async fn pass(&mut self, service: &Service) -> Result<(BTreeMap<u64, Entry>, Result<(), Fatal>), Fatal> {
        let (author, at) = ("unknown".to_owned(), utc(SystemTime::now()));
        let entry = Entry { author, via: self.via.clone(), at, ..Entry::default() };
        let (registry, state, name) = (Arc::clone(&self.registry), self.state.clone(), service.clone());
        let (envs, recorded, done) = with_store(registry, state, LIMIT, async move |store| {
            let tree = store.any_tree(&name).await?;
            let mut recorded = BTreeMap::new();
            let done = store.record_outside(&name, &entry, &mut recorded).await;
            // The environments are followed even if their changes cannot be recorded.
            Ok((tree.envs.into_keys().collect(), recorded, done))
        })
        .await?;
        self.services.insert(service.clone(), envs);
        Ok((recorded, done))
    }

    fn report(&mut self, service: Service, done: Result<(), Fatal>) {
        let name = Arc::from(service.as_str());
        match done {
            Ok(()) => _ = self.failures.remove(&service),
            // The registry is reported as unreachable.
            Err(fatal) if fatal.exit == Exit::Unreached => {}
            Err(fatal) => {
                let reason = fatal.to_string();
                if self.failures.insert(service, reason.clone()).as_ref() != Some(&reason) {
                    let (service, retry_in_s) = (name, RETRY.as_secs());
                    emit(Event::JonesRecordFailed { service, reason, retry_in_s });
                }
            }
        }
    }
}

fn report_recorded(service: &Service, recorded: BTreeMap<u64, Entry>) {
    for (revision, entry) in recorded {
        emit(Event::JonesRecorded { service: Arc::from(service.as_str()), revision, change: entry.comment });
    }
}
