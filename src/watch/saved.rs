//! A registry that shows saved views, so that templates are rendered without a server.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::error::Setback;
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{RegistryEvent, View};
use crate::model::saved_view::SavedViews;

use super::cache::Diff;
use super::event_sender::EventSender;
use super::{BoxFuture, Node, Registry, Subjects, changed};

/// Saved views, and where they are from.
#[derive(Debug, Clone)]
pub struct SavedSource {
    /// The views.
    pub views: SavedViews,
    /// The file, for messages, and how to add a path to it.
    pub origin: String,
}

/// One registry of saved views. Nothing in it changes.
#[derive(Debug)]
pub struct Saved {
    name: Arc<str>,
    source: Arc<SavedSource>,
}

impl Saved {
    /// The views of the registry `name`.
    pub fn new(name: Arc<str>, source: Arc<SavedSource>) -> Self {
        Self { name, source }
    }

    /// The view of a subject. One that was not saved is unknown, not empty.
    fn view(&self, subject: &Subject) -> View {
        let missing = || View::unreadable(subject, format!("{} does not have it", self.source.origin).into());
        self.source.views.view(&self.name, subject).unwrap_or_else(missing)
    }
}

impl Registry for Saved {
    fn follow(
        self: Arc<Self>,
        mut subjects: watch::Receiver<Subjects>,
        out: mpsc::Sender<RegistryEvent>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let events = EventSender::new(Arc::clone(&self.name), out);
            let following = async {
                loop {
                    let wanted = subjects.borrow_and_update().clone();
                    for subject in wanted.keys() {
                        events.send_diff(subject, Diff::Reset(self.view(subject))).await;
                    }
                    changed(&mut subjects).await;
                }
            };
            events.until_stopped(&stop, following).await;
        })
    }

    fn read(&self, path: NodePath, _: bool) -> BoxFuture<'_, Result<Option<Node>, Setback>> {
        Box::pin(async move { Err(Setback::new(format!("read {path}"), "saved views cannot be listed")) })
    }
}
