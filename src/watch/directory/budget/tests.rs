use super::*;
use crate::model::registry_event::Bytes;
use crate::model::registry_event::NodeContent;

#[test]
fn a_budget_can_be_spent_completely_and_is_zero_once_exceeded() {
    let mut budget = Budget::new(&Subject::Members(NodePath::parse("/a").unwrap()));
    let (all, byte): (Bytes, Bytes) = (vec![0; MAX_PATH_BYTES].into(), vec![0; 1].into());
    assert!(budget.spend(&Ok(NodeContent::ephemeral(all))).is_some());
    assert!(budget.spend(&Ok(NodeContent::ephemeral(Bytes::default()))).is_some());
    assert!(!budget.is_exceeded());
    assert!(budget.spend(&Ok(NodeContent::ephemeral(byte))).is_none());
    assert!(budget.is_exceeded());
    assert!(budget.spend(&Ok(NodeContent::ephemeral(Bytes::default()))).is_none());
}
