use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;

use super::*;

/// An event loop that answers, and counts how often.
fn answered() -> (Snapshots, Arc<AtomicUsize>) {
    let (sender, mut requests) = mpsc::channel::<oneshot::Sender<Snapshot>>(1);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Some(reply) = requests.recv().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = reply.send(Snapshot::empty());
        }
    });
    (Snapshots::new(sender), count)
}

#[tokio::test(start_paused = true)]
async fn all_clients_of_a_moment_share_a_snapshot() {
    let (snapshots, count) = answered();
    let all = join_all((0..1000).map(|_| snapshots.get())).await;
    assert!(all.iter().all(Option::is_some));
    assert_eq!(count.load(Ordering::Relaxed), 1);
    tokio::time::sleep(MAX_AGE).await;
    assert!(snapshots.get().await.is_some());
    assert_eq!(count.load(Ordering::Relaxed), 2, "an older one is not used");
}

#[tokio::test(start_paused = true)]
async fn clients_that_do_not_wait_for_the_answer_do_not_ask_more_often() {
    let (snapshots, count) = answered();
    for _ in 0..1000 {
        // Polled once, and dropped.
        let _ = timeout(Duration::ZERO, snapshots.current()).await;
    }
    assert!(count.load(Ordering::Relaxed) <= 1, "{count:?}");
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_every_client_gives_up_at_the_same_time() {
    let (sender, _requests) = mpsc::channel(1);
    let snapshots = Snapshots::new(sender);
    let began = Instant::now();
    let all = join_all((0..16).map(|_| snapshots.get())).await;
    assert!(all.iter().all(Option::is_none));
    assert_eq!(began.elapsed(), SNAPSHOT_TIMEOUT);
}
