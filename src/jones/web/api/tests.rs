use std::collections::BTreeMap;

use hyper::body::Bytes;
use hyper::header::{self, HeaderMap};

use super::*;
use crate::jones::tree::tests::Nodes;
use crate::jones::web::wants::Wants;

fn call(tag: &str) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert(header::IF_MATCH, tag.parse().unwrap());
    Call {
        method: Method::POST,
        path: Vec::new(),
        query: BTreeMap::new(),
        headers,
        body: Bytes::new(),
        user: None,
        wants: Wants::Json,
    }
}

#[test]
fn what_was_reviewed_is_published_only_while_the_service_is_the_same() {
    let mut nodes = Nodes::new(&[("", "{}"), ("eu", "{}"), ("us", "{}")]);
    let before = nodes.tree();
    nodes.zxid += 1;
    let after = nodes.tree();
    let reviewed = etag(&before);
    assert_ne!(reviewed, etag(&after));
    let env = "eu".to_owned();
    for (edit, tag) in [
        (Edit::Set { env: env.clone(), text: "{}".to_owned(), base_version: Some(0) }, "\"0\""),
        (Edit::Create { env: env.clone(), text: None }, "*"),
        (Edit::Delete { env: env.clone(), base_version: None }, "*"),
        (Edit::Associate { hosts: vec!["h1".to_owned()], env }, "*"),
        (Edit::Promote { id: "canary".to_owned() }, "*"),
    ] {
        let call = call(tag);
        let seen = |reviewed: Option<&str>| seen(&call, &edit, reviewed.map(str::to_owned)).unwrap();
        assert!(seen(None)(&before) && seen(None)(&after), "{edit:?}");
        assert!(seen(Some(&reviewed))(&before) && !seen(Some(&reviewed))(&after), "{edit:?}");
    }
    // The tag in If-Match holds beside it.
    let (call, abort) = (call(&format!("\"{reviewed}\"")), Edit::Abort { id: "canary".to_owned() });
    let seen = seen(&call, &abort, None).unwrap();
    assert!(seen(&before) && !seen(&after));
}
