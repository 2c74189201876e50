use super::*;

#[test]
fn the_age_counts_from_the_loss_or_the_saved_age() {
    let at = |secs| Moment::after_start(Duration::from_secs(secs));
    let age = |freshness: Freshness, secs| freshness.age(at(secs)).map(|age| age.as_secs());
    let mut freshness = Freshness::NEVER;
    freshness.mark_stale(at(1));
    assert_eq!(age(freshness, 9), None, "what was never known has no age");
    assert_eq!(age(Freshness::from_saved(None), 9), None);
    freshness = Freshness::from_saved(Some(Duration::from_mins(1)));
    freshness.mark_stale(at(5));
    assert_eq!(age(freshness, 9), Some(69), "the registry is unreachable, and was before");
    freshness.confirm();
    assert_eq!((age(freshness, 100), freshness.is_live()), (Some(0), true));
    freshness.mark_stale(at(100));
    freshness.mark_stale(at(130));
    assert_eq!(
        (age(freshness, 140), freshness.is_live()),
        (Some(40), false),
        "a repeated report does not restart the age"
    );
}
