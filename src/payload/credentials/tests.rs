use super::*;

#[test]
fn no_password_is_shown() {
    for (text, shown) in [
        ("nothing", "nothing"),
        ("postgres://h:5432/db", "postgres://h:5432/db"),
        ("postgres://u:secret@h:5432/db", "postgres://u:***@h:5432/db"),
        ("http://secret@h/", "http://***@h/"),
        ("postgres://u:se/cr@et@h/db", "postgres://u:***@h/db"),
        (r#"{"a":"x://u:secret@h","b":"me@home"}"#, r#"{"a":"x://u:***@h","b":"me@home"}"#),
        ("x://u:secret@h?n=http://v:secret@k", "x://u:***@k"),
        ("x://h/db?user=u&password=secret&x=1", "x://h/db?user=u&password=***&x=1"),
        ("a://u:secret@h b://v:secret@k", "a://u:***@h b://v:***@k"),
        ("://", "://"),
        ("é://é:é@é", "é://é:***@é"),
    ] {
        assert_eq!(mask_credentials(text), shown);
    }
}
