use super::*;

#[test]
fn a_change_during_a_publication_makes_another() {
    let mut turn = Turn::default();
    turn.want();
    turn.want();
    assert!(turn.is_ready());
    turn.begin(1);
    assert!(!turn.is_ready());
    turn.want();
    assert!(!turn.is_ready(), "one in flight");
    assert!(!turn.end(0) && !turn.is_ready(), "an older one's end says nothing of it");
    assert!(turn.end(1));
    assert!(turn.is_ready(), "and the change in between is not lost");
    turn.begin(2);
    turn.end(2);
    assert!(!turn.is_ready(), "two changes before the start are one");
}
