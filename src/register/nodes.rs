//! The nodes of one registry: its session, what is registered in it, and the file for the next process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{Mutex, mpsc};
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;

use crate::config::RegistryConfig;
use crate::decide::Moment;
use crate::decide::event::{Event, SessionNumber};
use crate::decide::registration::{NodeEffect, Outcome, Registrations};
use crate::log::emit;
use crate::model::registration::NodeId;
use crate::state::session::SavedSession;
use crate::watch::Link;
use crate::zk::{Acl, Connection};

use super::event::{NodesEvent, RegistrarEvent};
use super::node::acl;
use super::writer::Writer;

/// The nodes of one registry.
pub struct RegistryNodes {
    registry: Arc<RegistryConfig>,
    /// Distinguishes the events of this registry from those of an earlier one of the same name.
    generation: u64,
    pub registrations: Registrations,
    link: Link,
    connection: Option<Connection>,
    /// The last session in use by this process.
    session: Option<i64>,
    acl: Arc<[Acl]>,
    saved: Arc<Mutex<SavedFile>>,
    events: mpsc::UnboundedSender<RegistrarEvent>,
    _forwarding: AbortOnDropHandle<()>,
}

/// The file of the session.
struct SavedFile {
    file: PathBuf,
    saved: SavedSession,
    /// A failure was logged.
    is_failed: bool,
}

impl SavedFile {
    /// Changes the file, if that is a change.
    async fn update(&mut self, change: impl FnOnce(&mut SavedSession)) {
        let mut fresh = self.saved.clone();
        change(&mut fresh);
        if fresh == self.saved {
            return;
        }
        self.saved = fresh.clone();
        let file = self.file.clone();
        // The file system may hang.
        let written = spawn_blocking(move || fresh.save(&file)).await;
        let failed = written.map_err(|why| why.to_string()).and_then(|done| done.map_err(|why| why.to_string())).err();
        if let Some(reason) = failed.filter(|_| !self.is_failed) {
            self.is_failed = true;
            let effect = "after a restart, services are registered with a new session";
            emit(Event::StateWriteFailed { file: Some(self.file.clone()), reason, effect });
        }
    }
}

impl RegistryNodes {
    /// The nodes of a registry. Those that an earlier process registered stay until something else is wanted.
    pub fn new(
        registry: &Arc<RegistryConfig>,
        link: Link,
        file: PathBuf,
        generation: u64,
        events: &mpsc::UnboundedSender<RegistrarEvent>,
        now: Moment,
    ) -> Self {
        let url = registry.url.to_string();
        let saved = SavedSession::load(&file, &url).unwrap_or_else(|reason| {
            let effect = "services are registered with a new session";
            emit(Event::StateReadFailed { file: Some(file.clone()), reason, effect });
            SavedSession::none(&url)
        });
        let inherited: Vec<_> = saved.nodes().map(|(id, service)| (id, Arc::from(service))).collect();
        let forwarding = forward(Arc::clone(&registry.name), generation, link.clone(), events.clone());
        Self {
            registry: Arc::clone(registry),
            generation,
            registrations: Registrations::new(inherited, now),
            link,
            connection: None,
            session: None,
            acl: acl(&registry.auth).into(),
            saved: Arc::new(Mutex::new(SavedFile { file, saved, is_failed: false })),
            events: events.clone(),
            _forwarding: AbortOnDropHandle::new(tokio::spawn(forwarding)),
        }
    }

    /// The configuration of the registry.
    pub fn registry(&self) -> &Arc<RegistryConfig> {
        &self.registry
    }

    /// The generation of its events.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Leaves the session alive when the connection is closed, for the next process.
    pub fn keep(&self) {
        self.link.keeps_session.store(true, Ordering::Relaxed);
    }

    /// Handles an event. `start` is when a new session may write first.
    pub fn handle(&mut self, event: NodesEvent, now: Moment, start: Moment) {
        let effects = match event {
            NodesEvent::Connection(None) => {
                self.connection = None;
                self.registrations.disconnected();
                Vec::new()
            }
            NodesEvent::Connection(Some(connection)) => {
                self.save_session(&connection);
                self.connection = Some(connection);
                Vec::new()
            }
            NodesEvent::Saved(id) => match &self.connection {
                Some(connection) if connection.session().id == id => {
                    let is_first = self.session.is_none();
                    let is_resumed = self.session.replace(id) == Some(id);
                    self.registrations.connected(now, id, is_resumed, if is_first { now } else { start })
                }
                // Lost meanwhile.
                _ => Vec::new(),
            },
            NodesEvent::Changed(ids) => ids.iter().flat_map(|id| self.registrations.changed(now, id)).collect(),
            NodesEvent::Done(id, outcome) => self.registrations.done(now, &id, outcome),
        };
        self.perform(effects);
    }

    /// Saves the session before anything is written in it.
    fn save_session(&self, connection: &Connection) {
        let (session, saved) = (connection.session(), Arc::clone(&self.saved));
        let (registry, is_first) = (Arc::clone(&self.registry.name), self.session.is_none());
        let send = self.sender();
        tokio::spawn(async move {
            let mut saved = saved.lock().await;
            if is_first && saved.saved.id == Some(session.id) {
                emit(Event::SessionContinued { registry, session: SessionNumber(session.id) });
            }
            saved.update(|saved| saved.set_session(session.id, session.password(), session.timeout)).await;
            send(NodesEvent::Saved(session.id));
        });
    }

    /// A function that sends an event of this registry.
    fn sender(&self) -> impl Fn(NodesEvent) + Clone + Send + 'static {
        let (registry, generation, events) = (Arc::clone(&self.registry.name), self.generation, self.events.clone());
        // The registrar may be gone.
        move |event| _ = events.send(RegistrarEvent::Nodes(Arc::clone(&registry), generation, event))
    }

    /// Carries effects out.
    pub fn perform(&mut self, effects: Vec<NodeEffect>) {
        let (mut writes, mut deletions) = (Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                NodeEffect::Write(spec) => writes.push(spec),
                NodeEffect::Delete(id) => deletions.push(id),
                NodeEffect::Emit(event) => emit(event),
            }
        }
        if writes.is_empty() && deletions.is_empty() {
            return;
        }
        let send = self.sender();
        let Some(connection) = self.connection.clone() else {
            let ids = writes.iter().map(|spec| spec.id.clone()).chain(deletions);
            ids.for_each(|id| send(NodesEvent::Done(id, Outcome::Lost)));
            return;
        };
        let nodes: BTreeMap<NodeId, Arc<str>> =
            self.registrations.nodes().iter().map(|(id, node)| (id.clone(), Arc::clone(&node.service))).collect();
        let (saved, acl, own_nodes) =
            (Arc::clone(&self.saved), Arc::clone(&self.acl), Arc::clone(&self.link.own_nodes));
        tokio::spawn(async move {
            let earlier = {
                let mut saved = saved.lock().await;
                // Before a write: a node that the next process does not know of would stay.
                saved.update(|saved| saved.set_nodes(nodes.iter().map(|(id, service)| (id, &**service)))).await;
                saved.saved.earlier.clone().into()
            };
            let writer = Writer { connection, acl, earlier, own_nodes };
            for spec in writes {
                let (writer, send) = (writer.clone(), send.clone());
                tokio::spawn(async move { send(NodesEvent::Done(spec.id.clone(), writer.write(&spec).await)) });
            }
            for id in deletions {
                let (writer, send) = (writer.clone(), send.clone());
                tokio::spawn(async move {
                    let outcome = writer.delete(&id).await;
                    send(NodesEvent::Done(id, outcome));
                });
            }
        });
    }

    /// Forgets the session, which is about to be closed.
    pub async fn forget_session(&self) {
        let forget = |saved: &mut SavedSession| {
            saved.earlier.extend(saved.id.take());
            saved.set_nodes(std::iter::empty());
        };
        self.saved.lock().await.update(forget).await;
    }
}

/// Forwards what the registry tells.
async fn forward(registry: Arc<str>, generation: u64, mut link: Link, events: mpsc::UnboundedSender<RegistrarEvent>) {
    let send = |event| events.send(RegistrarEvent::Nodes(Arc::clone(&registry), generation, event)).is_ok();
    // There may be a connection already.
    link.connection.mark_changed();
    loop {
        let event = tokio::select! {
            changed = link.connection.changed() => match changed {
                Ok(()) => NodesEvent::Connection(link.connection.borrow_and_update().clone()),
                Err(_) => return,
            },
            changed = link.own_nodes.changed() => NodesEvent::Changed(changed.into_iter().collect()),
        };
        if !send(event) {
            return;
        }
    }
}
