use super::*;

fn minute(m: u64) -> Moment {
    Moment::after_start(Duration::from_mins(m))
}

#[test]
fn a_loss_in_steps_is_one_loss() {
    let mut baseline = Baseline::default();
    baseline.record(minute(0), 18);
    baseline.record(minute(1), 13);
    assert_eq!(baseline.refuses(minute(2), 9, 50), None, "exactly half is admitted");
    baseline.record(minute(2), 9);
    assert_eq!(baseline.refuses(minute(3), 8, 50), Some(18), "but no more, even in small steps");
}

#[test]
fn larger_sizes_leave_the_window() {
    let mut baseline = Baseline::default();
    baseline.record(minute(0), 18);
    assert_eq!(baseline.largest(minute(60)), Some(18), "a size applies until the next one");
    baseline.record(minute(60), 10);
    assert_eq!(baseline.largest(minute(74)), Some(18));
    assert_eq!(baseline.largest(minute(75)), Some(10));
}

#[test]
fn flapping_does_not_extend_a_larger_size() {
    let mut baseline = Baseline::default();
    baseline.record(minute(0), 18);
    for m in 1..16 {
        baseline.record(minute(m), if m % 2 == 0 { 11 } else { 12 });
    }
    assert_eq!(baseline.largest(minute(15)), Some(18));
    assert_eq!(baseline.largest(minute(16)), Some(12), "there were 18 until minute 1");
}

#[test]
fn the_guard_ignores_few_members_and_allows_100_percent() {
    let mut baseline = Baseline::default();
    baseline.record(minute(0), 3);
    assert_eq!(baseline.refuses(minute(1), 1, 50), None);
    baseline.record(minute(1), 18);
    assert_eq!(baseline.refuses(minute(2), 0, 100), None);
    baseline.restart(minute(2), 6);
    assert_eq!(baseline.refuses(minute(2), 3, 50), None);
    assert_eq!(baseline.refuses(minute(2), 2, 50), Some(6));
}

#[test]
fn a_long_slow_fall_keeps_a_short_baseline() {
    let (mut kept, mut exact) = (Baseline::default(), Vec::new());
    for second in 0..3000u64 {
        let (now, size) = (Moment::after_start(Duration::from_secs(second)), 5000 - usize::try_from(second).unwrap());
        kept.record(now, size);
        exact.push((now, size));
        let since = exact.partition_point(|(from, _)| *from <= now - WINDOW).saturating_sub(1);
        assert!(kept.sizes.len() <= MAX_SIZES && kept.largest(now) >= Some(exact[since].1), "{second}");
    }
}
