use super::*;

#[test]
fn a_lower_version_is_a_regression_until_it_is_accepted() {
    let mut version = VersionTracker::restored(Some(Zxid(5)));
    assert_eq!(version.regression(), None, "no view yet");
    version.observe(Some(Zxid(7)));
    assert_eq!(version.regression(), None);
    version.observe(Some(Zxid(6)));
    assert_eq!(version.regression(), Some((Zxid(6), Zxid(7))));
    version.observe(None);
    assert_eq!(version.regression(), None, "a registry without versions");
    version.accept();
    assert_eq!(version.highest(), Some(Zxid(7)), "a view without a version keeps the highest");
    version.observe(Some(Zxid(6)));
    version.accept();
    assert_eq!((version.regression(), version.highest()), (None, Some(Zxid(6))));
    version.raise(VersionTracker::restored(Some(Zxid(9))));
    assert_eq!(version.regression(), Some((Zxid(6), Zxid(9))));
}
