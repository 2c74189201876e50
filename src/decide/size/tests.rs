use super::*;
use crate::model::registry_event::{Bytes, NodeContent};

fn name(number: usize) -> Arc<str> {
    Arc::from(number.to_string())
}

fn data(bytes: usize) -> Bytes {
    vec![b'x'; bytes].into()
}

#[test]
fn one_node_or_byte_too_many_exceeds_the_limit() {
    for (count, each, excess) in [(MAX_NODES, 0, Excess::Nodes), (256, 64 * 1024, Excess::Bytes)] {
        let mut size = Size::from_nodes(
            &(0..count).map(|number| (name(number), Ok(NodeContent::ephemeral(data(each))))).collect(),
        );
        assert_eq!(size.excess(), None, "{excess}");
        size.put(&name(count), &Ok(NodeContent::ephemeral(data(1))));
        assert_eq!(size.excess(), Some(excess));
        size.put(&name(count), &Err("refused".into()));
        assert_eq!(size.excess(), Some(excess).filter(|excess| *excess == Excess::Nodes));
        size.remove("none");
        size.remove(&name(count));
        assert_eq!((size.excess(), size.bytes), (None, count * each));
        size.put(&name(0), &Ok(NodeContent::ephemeral(data(each + 1))));
        assert_eq!(size.excess(), Some(excess).filter(|excess| *excess == Excess::Bytes));
    }
}
