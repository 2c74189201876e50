use super::*;
use crate::error::Setback;
use crate::model::node_path::NodePath;
use crate::model::registry_event::Unreachable;
use crate::watch::{BoxFuture, Node};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Panics the first time, returns the second time, and works from the third time on.
#[derive(Default)]
struct Unreliable {
    starts: AtomicUsize,
    works: Notify,
}

impl Registry for Unreliable {
    fn follow(
        self: Arc<Self>,
        _: channel::Receiver<Subjects>,
        _: mpsc::Sender<RegistryEvent>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            match self.starts.fetch_add(1, Ordering::Relaxed) {
                0 => panic!("on purpose"),
                1 => {}
                _ => {
                    self.works.notify_one();
                    stop.cancelled().await;
                }
            }
        })
    }

    fn read(&self, _: NodePath, _: bool) -> BoxFuture<'_, Result<Option<Node>, Setback>> {
        Box::pin(async { Ok(None) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_fails_is_unreachable_and_restarted() {
    let registry = Arc::new(Unreliable::default());
    let (_subjects, receiver) = channel::channel(Subjects::new());
    let (out, mut events) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let watched: Arc<dyn Registry> = Arc::clone(&registry) as _;
    let supervising = tokio::spawn(supervise(watched, Arc::from("r"), receiver, out, stop.clone()));
    for words in ["on purpose", "ended unexpectedly"] {
        let Some(RegistryEvent { update: Update::Unreachable(Unreachable { reason, .. }), .. }) = events.recv().await
        else {
            panic!("not reported as unreachable");
        };
        assert!(reason.contains(words), "{reason}");
    }
    registry.works.notified().await;
    stop.cancel();
    supervising.await.unwrap();
}
