use super::*;
use crate::model::registry_event::Bytes;

#[test]
fn all_of_it_may_be_taken_and_nothing_after_too_much() {
    let mut budget = Budget::of(&Subject::Members(NodePath::parse("/a").unwrap()));
    let (whole, byte): (Bytes, Bytes) = (vec![0; MAX_PATH_BYTES].into(), vec![0; 1].into());
    assert!(budget.take(&Ok(whole)).is_some());
    assert!(budget.take(&Ok(Bytes::default())).is_some());
    assert!(!budget.is_overdrawn());
    assert!(budget.take(&Ok(byte)).is_none());
    assert!(budget.is_overdrawn());
    assert!(budget.take(&Ok(Bytes::default())).is_none());
}
