use super::*;

fn json(text: &str, trims: bool) -> String {
    ServiceData::parse(text, trims).map_or_else(ToOwned::to_owned, |data| data.to_json())
}

/// What zk_watcher 0.4.0 makes of each text (Python 3.11, executed), and what differs with `trims`.
#[test]
fn text_is_read_as_zk_watcher_reads_it() {
    for (text, legacy, trimmed) in [
        ("foo=bar, bah=humbug", r#"{"foo":"bar"," bah":"humbug"}"#, r#"{"foo":"bar","bah":"humbug"}"#),
        ("a=b=c", "{}", "{}"),
        ("a=", r#"{"a":""}"#, r#"{"a":""}"#),
        ("zone=a,user=b,", r#"{"zone":"a","user":"b"}"#, r#"{"zone":"a","user":"b"}"#),
        (r#"{"a":1,}"#, "{}", "{}"),
        (r#""s""#, r#"{"string_value":"s"}"#, r#"{"string_value":"s"}"#),
        ("7", "JSON that is not an object", "JSON that is not an object"),
        ("[1]", "JSON that is not an object", "JSON that is not an object"),
        ("", "{}", "{}"),
        (
            r#"{ "z" : {"y": [1, 2.50 ], "a": null}, "b":"é😀\/" }"#,
            r#"{"z":{"y":[1,2.50],"a":null},"b":"\u00e9\ud83d\ude00/"}"#,
            "",
        ),
        ("a=1,a=2", r#"{"a":"2"}"#, r#"{"a":"2"}"#),
    ] {
        assert_eq!(json(text, false), legacy, "{text}");
        assert_eq!(json(text, true), if trimmed.is_empty() { legacy } else { trimmed }, "{text}");
    }
}

#[test]
fn a_key_that_is_there_keeps_its_place() {
    let data = ServiceData::default().with_value("pid", &7.into()).with_value("created", &"now".into());
    let all = data.with(ServiceData::parse(r#"{"zone":"a","pid":1}"#, true).unwrap().entries().to_vec());
    assert_eq!(all.to_json(), r#"{"pid":1,"created":"now","zone":"a"}"#);
}
