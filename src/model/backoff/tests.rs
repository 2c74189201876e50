use super::*;

#[test]
fn pauses_grow_up_to_the_maximum() {
    let seconds = |backoff: Backoff| -> Vec<u64> { (0..=9).map(|n| backoff.pause(n).as_secs()).collect() };
    assert_eq!(seconds(RETRY), [1, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(seconds(REFUSAL), [1, 1, 2, 4, 8, 16, 32, 60, 60, 60].map(|minutes| minutes * 60));
    assert_eq!(seconds(DISPUTE), [10, 10, 20, 40, 80, 160, 300, 300, 300, 300]);
    assert_eq!([RETRY, REFUSAL, DISPUTE].map(|it| it.pause(u32::MAX).as_secs()), [60, 3600, 300]);
}

#[test]
fn jitter_removes_at_most_half() {
    assert_eq!([0.0, 0.5, 1.0].map(|random| RETRY.jittered(3, random).as_secs()), [2, 3, 4]);
}
