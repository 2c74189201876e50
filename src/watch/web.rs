//! The registry of one web object, which contains all paths with their members.
//!
//! It is requested at an interval, with the validators of the last response (`If-None-Match`, `If-Modified-Since`), and
//! compared with what was read before. Only a complete response that can be parsed is a view of the members. Anything
//! else means that the registry is unreachable, for the reason that it gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::RegistryConfig;
use crate::error::Setback;
use crate::model::backoff::RETRY;
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{RegistryEvent, Unreachable};

use super::cache::{CachedView, ViewUpdate};
use super::event_sender::EventSender;
use super::{BoxFuture, Node, Registry, Subjects, changed};

use request::{Answer, Validators};
use tree::Tree;

mod request;
mod tree;

/// A web object.
#[derive(Debug)]
pub struct Web {
    config: RegistryConfig,
    /// The complete URL. Messages show that of the configuration, without its query.
    url: String,
}

/// What was read last.
#[derive(Debug, Clone, Default)]
struct Known {
    tree: Arc<Tree>,
    /// Empty as long as nothing was read.
    validators: Validators,
}

/// The views of the subjects that are followed, each with the number of its subject.
type Subscriptions = BTreeMap<Subject, (u64, CachedView)>;

impl Web {
    /// The object at `url`.
    pub fn new(config: RegistryConfig, url: String) -> Self {
        Self { config, url }
    }

    async fn run(self: &Arc<Self>, mut subjects: watch::Receiver<Subjects>, events: &EventSender) {
        let mut known = Known::default();
        let mut subscriptions = Subscriptions::new();
        let mut failures = 0;
        loop {
            let wanted = subjects.borrow_and_update().clone();
            subscriptions.retain(|subject, (number, _)| wanted.get(subject) == Some(number));
            let pause = match Arc::clone(self).update(known.clone()).await {
                Ok(now) => {
                    known = now;
                    failures = 0;
                    for (subject, number) in wanted {
                        let view = known.tree.view(&subject);
                        let (_, cached) =
                            subscriptions.entry(subject.clone()).or_insert((number, CachedView::default()));
                        if let Some(diff) = cached.apply(ViewUpdate::Full(view)) {
                            events.send_diff(&subject, diff).await;
                        }
                    }
                    // Jittered, so that the agents of many hosts do not ask at the same time.
                    self.config.interval.mul_f64(fastrand::f64().mul_add(0.2, 0.9))
                }
                Err(unreachable) => {
                    failures += 1;
                    for (_, cached) in subscriptions.values_mut() {
                        cached.mark_unsent();
                    }
                    events.send_unreachable(unreachable).await;
                    RETRY.jittered(failures, fastrand::f64()).min(self.config.interval)
                }
            };
            tokio::select! {
                () = changed(&mut subjects) => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Requests the object.
    async fn update(self: Arc<Self>, known: Known) -> Result<Known, Unreachable> {
        let shown = self.config.url.to_string();
        let asked =
            tokio::task::spawn_blocking(move || match request::request(&self.config, &self.url, &known.validators)? {
                Answer::Unchanged => Ok(known),
                Answer::Changed { body, validators } => Ok(Known { tree: Arc::new(Tree::parse(&body)?), validators }),
            });
        let failed = |Unreachable { reason, is_final }| Unreachable { reason: format!("{shown}: {reason}"), is_final };
        asked
            .await
            .unwrap_or_else(|error| Err(format!("the request failed unexpectedly: {error}").into()))
            .map_err(failed)
    }
}

impl Registry for Web {
    fn follow(
        self: Arc<Self>,
        subjects: watch::Receiver<Subjects>,
        out: mpsc::Sender<RegistryEvent>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let events = EventSender::new(Arc::clone(&self.config.name), out);
            events.until_stopped(&stop, self.run(subjects, &events)).await;
        })
    }

    fn read(&self, path: NodePath, recursive: bool) -> BoxFuture<'_, Result<Option<Node>, Setback>> {
        let web = Arc::new(Self { config: self.config.clone(), url: self.url.clone() });
        Box::pin(async move {
            let read = web.update(Known::default()).await;
            let known = read.map_err(|unreachable| Setback::new(format!("read {path}"), unreachable.reason))?;
            Ok(known.tree.read(&path, if recursive { usize::MAX } else { 1 }))
        })
    }
}
