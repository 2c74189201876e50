use super::*;

#[test]
fn the_most_serious_exit_code_wins() {
    let order = [Exit::Done, Exit::Differs, Exit::Held, Exit::Unreached, Exit::Failed];
    for (rank, low) in order.iter().enumerate() {
        for high in &order[rank..] {
            assert_eq!(low.worse(*high), *high);
            assert_eq!(high.worse(*low), *high);
        }
    }
}
