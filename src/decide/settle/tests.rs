use super::*;
use std::time::Duration;

fn at(ms: u64) -> Moment {
    Moment::after_start(Duration::from_millis(ms))
}

#[test]
fn changes_settle_after_quiet_but_at_most_max() {
    let mut settle = Settle::default();
    assert_eq!(settle.due(Wait::DEFAULT), None);
    settle.mark_changed(at(1000));
    assert_eq!(settle.due(Wait::DEFAULT), Some(at(1200)));
    settle.mark_changed(at(1150));
    assert_eq!(settle.due(Wait::DEFAULT), Some(at(1350)));
    for ms in (1300..4000).step_by(100) {
        settle.mark_changed(at(ms));
    }
    assert_eq!(settle.due(Wait::DEFAULT), Some(at(3000)), "2s after the first change");
    settle.clear();
    assert_eq!(settle.due(Wait::DEFAULT), None);
}
