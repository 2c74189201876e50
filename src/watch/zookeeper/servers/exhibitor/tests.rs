use super::*;

#[test]
fn lists_are_read() {
    let read = |text: &str| {
        let list = super::read(text.as_bytes())?;
        Ok(list.into_iter().map(|told| format!("{}:{}", told.host, told.port.unwrap_or(0))).collect::<Vec<_>>())
    };
    let two = read(r#"{"servers":["10.0.1.0","zk-2.example.com"],"port":2181,"more":{}}"#);
    assert_eq!(two, Ok(vec!["10.0.1.0:2181".into(), "zk-2.example.com:2181".into()]));
    for (text, wrong) in [
        ("", "no list"),
        ("count=1&server0=a&port=2181", "no list"),
        ("[]", "no list"),
        (r#"{"servers":["a"]}"#, "no list"),
        (r#"{"servers":["a"],"port":70000}"#, "no list"),
        (r#"{"servers":[],"port":2181}"#, "names no server"),
        (r#"{"servers":["a"],"port":0}"#, "are no servers"),
        (r#"{"servers":["a","b c"],"port":1}"#, "are no servers"),
        (r#"{"servers":["a:1"],"port":1}"#, "are no servers"),
        (r#"{"servers":[""],"port":1}"#, "are no servers"),
    ] {
        let why: Result<Vec<String>, String> = read(text);
        assert!(why.as_ref().is_err_and(|why| why.contains(wrong)), "{text}: {why:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_named_and_leaves_nothing() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let why = ask(std::slice::from_ref(&url)).await.unwrap_err();
    assert!(why.contains(&url) && why.contains("refused"), "{why}");
    assert_eq!(Exhibitor::new(&Arc::from("r"), &[url]).list().await, Vec::new());
}
