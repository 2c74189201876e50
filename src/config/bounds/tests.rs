use super::*;

#[test]
fn min_must_not_exceed_max() {
    assert_eq!(Bounds::new(2, Some(1), AboveMax::Cut), None);
    assert_eq!(Bounds::new(0, Some(0), AboveMax::Cut), None);
    assert!(Bounds::new(1, Some(1), AboveMax::Hold).is_some());
}
