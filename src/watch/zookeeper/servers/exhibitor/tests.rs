use super::*;

#[test]
fn lists_are_parsed() {
    let parse = |text: &str| {
        let list = super::parse(text.as_bytes())?;
        Ok(list.into_iter().map(|server| format!("{}:{}", server.host, server.port.unwrap_or(0))).collect::<Vec<_>>())
    };
    let two = parse(r#"{"servers":["10.0.1.0","zk-2.example.com"],"port":2181,"more":{}}"#);
    assert_eq!(two, Ok(vec!["10.0.1.0:2181".into(), "zk-2.example.com:2181".into()]));
    for (text, wrong) in [
        ("", "not a list"),
        ("count=1&server0=a&port=2181", "not a list"),
        ("[]", "not a list"),
        (r#"{"servers":["a"]}"#, "not a list"),
        (r#"{"servers":["a"],"port":70000}"#, "not a list"),
        (r#"{"servers":[],"port":2181}"#, "empty"),
        (r#"{"servers":["a"],"port":0}"#, "invalid servers"),
        (r#"{"servers":["a","b c"],"port":1}"#, "invalid servers"),
        (r#"{"servers":["a:1"],"port":1}"#, "invalid servers"),
        (r#"{"servers":[""],"port":1}"#, "invalid servers"),
    ] {
        let why: Result<Vec<String>, String> = parse(text);
        assert!(why.as_ref().is_err_and(|why| why.contains(wrong)), "{text}: {why:?}");
    }
}

#[tokio::test]
async fn an_exhibitor_that_is_not_reached_is_named_and_gives_no_servers() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let why = ask(std::slice::from_ref(&url)).await.unwrap_err();
    assert!(why.contains(&url) && why.contains("refused"), "{why}");
    assert_eq!(Exhibitor::new(&Arc::from("r"), &[url]).list().await, Vec::new());
}
