use super::*;

fn parse(data: &str) -> Result<NodeMaps, String> {
    NodeMaps::parse(data.as_bytes())
}

fn hosts(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(host, path)| ((*host).to_owned(), (*path).to_owned())).collect()
}

#[test]
fn both_encodings_are_read() {
    let both = hosts(&[("h1", "/services/s/views/a"), ("h2", "/services/s/views")]);
    let cases = [
        (r#"{"h1": "/services/s/views/a", "h2": "/services/s/views"}"#, Encoding::Json),
        (" \n {\"h2\":\"/services/s/views\",\"h1\":\"/services/s/views/a\"}\n", Encoding::Json),
        // The last entry of a host counts.
        (r#"{"h1": "/x", "h2": "/services/s/views", "h1": "/services/s/views/a"}"#, Encoding::Json),
        ("h1 -> /services/s/views/a\nh2 -> /services/s/views", Encoding::Arrows),
        ("h1 -> /services/s/views/a\nh2 -> /services/s/views\n", Encoding::Arrows),
        ("h1 -> /services/s/views/a\r\n  h2 -> /services/s/views \r\n", Encoding::Arrows),
        ("h1 -> /x\nh2 -> /services/s/views\nh1 -> /services/s/views/a", Encoding::Arrows),
    ];
    for (data, encoding) in cases {
        assert_eq!(parse(data), Ok(NodeMaps { encoding: Some(encoding), hosts: both.clone() }), "{data}");
    }
    for data in ["", "\n", "  "] {
        assert_eq!(parse(data), Ok(NodeMaps::default()), "{data:?}");
    }
    assert_eq!(parse("{}").map(|read| (read.encoding, read.hosts.len())), Ok((Some(Encoding::Json), 0)));
}

#[test]
fn what_is_in_neither_encoding_is_an_error() {
    for data in ["garbage", "[]", "null", "h1", "h1 ->", "h1->/x", "h1 -> /x\ngarbage", "h1 -> /x\n\nh2 -> /y"] {
        assert!(parse(data).is_err(), "{data:?}");
    }
    for data in [r#"{"h1": "/x""#, r#"{"h1": null}"#, r#"{"h1": {"a": 1}}"#, r#"{"h1": "/x"} h2 -> /y"#] {
        assert!(parse(data).unwrap_err().contains("JSON"), "{data:?}");
    }
    assert!(NodeMaps::parse(b"\x80\x02}q\x00").unwrap_err().contains("UTF-8"));
    assert!(NodeMaps::parse(b"h1 -> /x\xff").is_err());
}

#[test]
fn each_encoding_is_written_as_it_is_read() {
    for data in [r#"{"h1": "/services/s/views/a", "h2": "/x\"\n"}"#, "{}", "h1 -> /services/s/views/a\nh2 -> /b"] {
        let read = parse(data).unwrap();
        for default in [Encoding::Json, Encoding::Arrows] {
            assert_eq!(read.write(default).unwrap(), data.as_bytes());
        }
    }
    // As Python escapes.
    let umlaut = NodeMaps { encoding: None, hosts: hosts(&[("h\u{e9}", "/x")]) };
    assert_eq!(umlaut.write(Encoding::Json), Ok(br#"{"h\u00e9": "/x"}"#.to_vec()));
    let none = NodeMaps::default();
    assert_eq!((none.write(Encoding::Json), none.write(Encoding::Arrows)), (Ok(b"{}".to_vec()), Ok(Vec::new())));
}

#[test]
fn a_name_that_lines_cannot_hold_is_refused_and_not_changed() {
    for (host, path) in [
        ("a -> b", "/x"),
        ("a\nb", "/x"),
        (" a", "/x"),
        ("a", "/x\nb -> /y"),
        ("a", "/b -> c"),
        ("", "/x"),
        ("{a", "/x"),
    ] {
        let with = |encoding| NodeMaps { encoding: Some(encoding), hosts: hosts(&[(host, path)]) };
        assert!(with(Encoding::Arrows).write(Encoding::Arrows).is_err(), "{host:?} {path:?}");
        let data = with(Encoding::Json).write(Encoding::Json).unwrap();
        assert_eq!(NodeMaps::parse(&data), Ok(with(Encoding::Json)));
    }
}
