use super::*;

#[test]
fn a_change_during_a_publication_is_not_lost() {
    let mut publish = Publish::default();
    publish.queue();
    publish.queue();
    assert!(publish.is_ready());
    publish.begin(1);
    assert!(!publish.is_ready());
    publish.queue();
    assert!(!publish.is_ready(), "one in flight");
    assert!(!publish.end(0) && !publish.is_ready(), "the end of an older one does not count");
    assert!(publish.end(1));
    assert!(publish.is_ready(), "the change in between is not lost");
    publish.begin(2);
    publish.end(2);
    assert!(!publish.is_ready(), "two changes before the start need one publication");
}
