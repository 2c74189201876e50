use super::*;

#[test]
fn only_a_fall_is_a_regress_until_it_is_believed() {
    let mut stamp = Version::recalled(Some(Zxid(5)));
    assert_eq!(stamp.regress(), None, "nothing is shown yet");
    stamp.see(Some(Zxid(7)));
    assert_eq!(stamp.regress(), None);
    stamp.see(Some(Zxid(6)));
    assert_eq!(stamp.regress(), Some((Zxid(6), Zxid(7))));
    stamp.see(None);
    assert_eq!(stamp.regress(), None, "a registry without stamps");
    stamp.believe();
    assert_eq!(stamp.highest(), Some(Zxid(7)), "and nothing is forgotten for it");
    stamp.see(Some(Zxid(6)));
    stamp.believe();
    assert_eq!((stamp.regress(), stamp.highest()), (None, Some(Zxid(6))));
    stamp.raise(Version::recalled(Some(Zxid(9))));
    assert_eq!(stamp.regress(), Some((Zxid(6), Zxid(9))));
}
