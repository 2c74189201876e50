use super::*;

/// A limit that a loop which makes no turn reaches; the paused clock of the tests skips it.
const LIMIT: Duration = Duration::from_secs(5);

/// Makes the last turn older than [`RECENT`].
fn grow_old(heartbeat: &Heartbeat) {
    heartbeat.0.last.send_replace(Instant::now().checked_sub(RECENT * 2).unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_idle_loop_is_woken_and_answers() {
    let heartbeat = Heartbeat::new();
    grow_old(&heartbeat);
    let own = heartbeat.clone();
    tokio::spawn(async move {
        own.asked().await;
        own.beat();
        std::future::pending::<()>().await;
    });
    assert!(heartbeat.beats_within(LIMIT).await);
    assert!(heartbeat.beats_within(LIMIT).await, "it is not woken again: the turn is recent");
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_hangs_in_a_turn_makes_no_progress_until_the_turn_ends() {
    let heartbeat = Heartbeat::new();
    grow_old(&heartbeat);
    let began = tokio::time::Instant::now();
    assert!(!heartbeat.beats_within(LIMIT).await);
    assert_eq!(began.elapsed(), LIMIT);
    let own = heartbeat.clone();
    tokio::spawn(async move {
        tokio::time::sleep(LIMIT / 2).await;
        own.beat();
    });
    assert!(heartbeat.beats_within(LIMIT).await);
    grow_old(&heartbeat);
    assert!(!heartbeat.beats_within(LIMIT).await, "it hangs again");
}

#[tokio::test]
async fn a_question_while_the_loop_is_busy_is_not_lost() {
    let heartbeat = Heartbeat::new();
    grow_old(&heartbeat);
    assert!(!heartbeat.beats_within(Duration::ZERO).await);
    heartbeat.asked().await;
}
