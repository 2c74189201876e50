use super::*;
use crate::error::Setback;
use crate::model::node_path::NodePath;
use crate::watch::{Boxed, Node};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Breaks off the first time, ends unasked the second time, and then does its work.
#[derive(Default)]
struct Frail {
    begun: AtomicUsize,
    works: Notify,
}

impl Registry for Frail {
    fn follow(
        self: Arc<Self>,
        _: channel::Receiver<Wanted>,
        _: mpsc::Sender<RegistryEvent>,
        stop: CancellationToken,
    ) -> Boxed<'static, ()> {
        Box::pin(async move {
            match self.begun.fetch_add(1, Ordering::Relaxed) {
                0 => panic!("on purpose"),
                1 => {}
                _ => {
                    self.works.notify_one();
                    stop.cancelled().await;
                }
            }
        })
    }

    fn look(&self, _: NodePath, _: bool) -> Boxed<'_, Result<Option<Node>, Setback>> {
        Box::pin(async { Ok(None) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_breaks_off_is_away_and_begun_anew() {
    let registry = Arc::new(Frail::default());
    let (_asking, asked) = channel::channel(Wanted::new());
    let (tell, mut told) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let watched: Arc<dyn Registry> = Arc::clone(&registry) as _;
    let supervising = tokio::spawn(supervise(watched, Arc::from("r"), asked, tell, stop.clone()));
    for words in ["on purpose", "ended unasked"] {
        let Some(RegistryEvent { news: News::Away { why }, .. }) = told.recv().await else {
            panic!("it is said to be away");
        };
        assert!(why.contains(words), "{why}");
    }
    registry.works.notified().await;
    stop.cancel();
    supervising.await.unwrap();
}
