//! Follows what hosts read of Jones's services: each [`Subject::Mapped`] as two nodes of another registry.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::error::Setback;
use crate::jones::host_view::{HostView, Step};
use crate::jones::path::Service;
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{RegistryEvent, Update, View};
use crate::model::version::Versions;

use super::{BoxFuture, Node, Registry, Subjects, changed};

#[cfg(test)]
mod tests;

/// A registry in which [`Subject::Mapped`] can be followed, too.
pub struct Jones(Arc<dyn Registry>);

impl Jones {
    /// Adds them to a registry.
    pub fn wrap(registry: Arc<dyn Registry>) -> Arc<dyn Registry> {
        Arc::new(Self(registry))
    }
}

impl Registry for Jones {
    fn follow(
        self: Arc<Self>,
        mut subjects: watch::Receiver<Subjects>,
        out: mpsc::Sender<RegistryEvent>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut translator = Translator::default();
            translator.set_wanted(&subjects.borrow_and_update());
            let (nodes, followed) = watch::channel(translator.nodes());
            let (tell, mut told) = mpsc::channel(1);
            // In a task of its own: it goes on while an event waits for the receiver.
            let following = tokio::spawn(Arc::clone(&self.0).follow(followed, tell, stop));
            'following: loop {
                tokio::select! {
                    event = told.recv() => {
                        let Some(event) = event else { break };
                        for event in translator.translate(event) {
                            if out.send(event).await.is_err() {
                                break 'following;
                            }
                        }
                    }
                    () = out.closed() => break,
                    () = changed(&mut subjects) => translator.set_wanted(&subjects.borrow_and_update()),
                }
                nodes.send_if_modified(|nodes| {
                    let before = std::mem::replace(nodes, translator.nodes());
                    before != *nodes
                });
            }
            drop(told);
            if let Err(error) = following.await
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        })
    }

    fn read(&self, path: NodePath, recursive: bool) -> BoxFuture<'_, Result<Option<Node>, Setback>> {
        self.0.read(path, recursive)
    }
}

/// Subjects as those that the other registry follows, and its events as theirs.
#[derive(Debug, Default)]
struct Translator {
    wanted: Subjects,
    /// The subjects with two nodes, each with its number.
    hosts: BTreeMap<Subject, (u64, HostView)>,
    /// What the other registry follows: its number there, and the number that was wanted for it.
    followed: BTreeMap<Subject, (u64, Option<u64>)>,
    /// The subjects that it is to read again.
    again: BTreeSet<Subject>,
    last: u64,
}

impl Translator {
    fn set_wanted(&mut self, wanted: &Subjects) {
        self.wanted.clone_from(wanted);
        self.hosts.retain(|subject, (number, _)| wanted.get(subject) == Some(number));
        for (subject, number) in wanted {
            if let Subject::Mapped { service, host } = subject
                && let Ok(name) = Service::parse(service.name())
                && let Entry::Vacant(entry) = self.hosts.entry(subject.clone())
            {
                let view = HostView::new(name, Arc::clone(host));
                self.again.insert(Subject::Node(view.nodemaps()));
                entry.insert((*number, view));
            }
        }
    }

    /// What the other registry is to follow now. A number changes where it is to read again.
    fn nodes(&mut self) -> Subjects {
        let nodes = self.hosts.values().flat_map(|(_, host)| [Some(host.nodemaps()), host.node().cloned()]);
        let nodes = nodes.flatten().map(Subject::Node);
        let plain = self.wanted.keys().filter(|subject| !matches!(subject, Subject::Mapped { .. })).cloned();
        let all: BTreeSet<Subject> = plain.chain(nodes).collect();
        let again = std::mem::take(&mut self.again);
        let numbered = all.into_iter().map(|subject| {
            let wanted = self.wanted.get(&subject).copied();
            let known = self.followed.get(&subject).filter(|(_, known)| *known == wanted && !again.contains(&subject));
            let number = known.map_or_else(
                || {
                    self.last += 1;
                    self.last
                },
                |(number, _)| *number,
            );
            (subject, (number, wanted))
        });
        self.followed = numbered.collect();
        self.followed.iter().map(|(subject, (number, _))| (subject.clone(), *number)).collect()
    }

    /// The events that follow from one of the other registry.
    fn translate(&mut self, event: RegistryEvent) -> Vec<RegistryEvent> {
        let RegistryEvent { registry, update } = event;
        let mut updates = Vec::new();
        match &update {
            Update::Reset { subject: Subject::Node(path), view: View::Node(seen), .. } => {
                for (subject, (_, host)) in &mut self.hosts {
                    let nodemaps = host.nodemaps();
                    let is_nodemaps = *path == nodemaps;
                    let before = host.node().cloned();
                    let Step { view, reads_nodemaps } =
                        if is_nodemaps { host.nodemaps_read(seen) } else { host.node_read(path, seen) };
                    if reads_nodemaps {
                        self.again.insert(Subject::Node(nodemaps));
                    }
                    // It may be followed already, for another subject, and be as it was.
                    if let Some(node) = host.node().filter(|node| before.as_ref() != Some(*node)) {
                        self.again.insert(Subject::Node(node.clone()));
                    }
                    let reset = |view| Update::Reset { subject: subject.clone(), view, versions: Versions::new() };
                    updates.extend(view.map(reset));
                }
            }
            Update::Suspended | Update::Unreachable(_) => {
                self.hosts.values_mut().for_each(|(_, host)| host.connection_lost());
            }
            Update::Reset { .. } | Update::Changed { .. } | Update::Connected => {}
        }
        let is_wanted = match &update {
            Update::Reset { subject, .. } | Update::Changed { subject, .. } => self.wanted.contains_key(subject),
            Update::Suspended | Update::Unreachable(_) | Update::Connected => true,
        };
        let own = is_wanted.then_some(update);
        own.into_iter().chain(updates).map(|update| RegistryEvent { registry: Arc::clone(&registry), update }).collect()
    }
}
