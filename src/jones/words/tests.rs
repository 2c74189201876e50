use super::*;

#[test]
fn long_lists_are_counted() {
    assert_eq!(listed(&["a", "b"]), "a, b");
    assert_eq!(listed(&["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
}
