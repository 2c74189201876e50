use super::*;
use crate::zk::Stat;

fn chunks(sizes: &[usize]) -> Vec<usize> {
    let paths: Vec<NodePath> = (0..sizes.len()).map(|n| NodePath::root().child(&n.to_string())).collect();
    let (mut chunks, mut done, mut counts) = (Chunks::default(), 0, Vec::new());
    while done < paths.len() {
        let count = chunks.next(&paths[done..]);
        let read = sizes[done..done + count].iter().map(|size| Ok((vec![0; *size].into(), Stat::default())));
        chunks.record(&read.collect::<Vec<_>>());
        done += count;
        counts.push(count);
    }
    assert_eq!(chunks.bytes(), sizes.iter().sum::<usize>());
    counts
}

#[test]
fn small_nodes_are_read_in_large_chunks_and_large_ones_singly() {
    assert_eq!(chunks(&[100; 2]), [2]);
    assert_eq!(chunks(&vec![100; 2500]), [4, 32, 256, 1000, 1000, 208]);
    assert_eq!(chunks(&[1_000_000; 7]), [4, 1, 1, 1]);
    assert_eq!(chunks(&[0; 5]), [4, 1]);
}

#[test]
fn a_request_stays_below_the_limit_of_servers() {
    let long = NodePath::root().child(&"x".repeat(200_000));
    let mut chunks = Chunks::default();
    assert_eq!(chunks.next(&vec![long.clone(); 10]), 2);
    assert_eq!(chunks.next(&[NodePath::root().child(&"x".repeat(600_000)), long]), 1);
    chunks.halve(4);
    assert_eq!(chunks.next(&vec![NodePath::root(); 10]), 2);
    chunks.halve(1);
    assert_eq!(chunks.next(&vec![NodePath::root(); 10]), 1);
}
