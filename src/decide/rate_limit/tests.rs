use super::*;

#[test]
fn after_a_burst_the_rate_is_kept_and_a_rest_allows_another_burst() {
    let at = |millis| Moment::after_start(Duration::from_millis(millis));
    let mut limit = RateLimit::new(100, 3, at(0));
    let mut allowed = |now| (0..10).take_while(|_| limit.allows(at(now))).count();
    let times = [(0, 3), (0, 0), (9, 0), (10, 1), (30, 2), (35, 0), (40, 1), (10_000, 3), (10_001, 0)];
    for (now, count) in times {
        assert_eq!(allowed(now), count, "at {now} ms");
    }
    assert_eq!(limit.opens(), at(10_010));
}
