use super::*;

#[test]
fn a_field_is_one_short_line_without_passwords() {
    assert_eq!(field("a\nb"), "a\\nb");
    assert_eq!(field("it gives \"postgres://u:secret@h/db\""), "it gives \"postgres://u:***@h/db\"");
    assert_eq!(field(&"x".repeat(1000)).len(), MAX_FIELD + '…'.len_utf8());
}
