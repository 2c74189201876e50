use hyper::header::{ACCEPT, HeaderMap, HeaderValue};

use super::Wants;

#[test]
fn only_a_client_that_prefers_json_by_name_gets_it() {
    for (accept, wants) in [
        ("", Wants::Any),
        ("*/*", Wants::Any),
        ("application/json", Wants::Json),
        ("Application/JSON; charset=utf-8", Wants::Json),
        ("application/json, */*;q=0.1", Wants::Json),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Wants::Html),
        ("text/html;q=0.5, application/json;q=0.9", Wants::Json),
        ("text/html, application/json", Wants::Html),
        ("application/json;q=0", Wants::Any),
        ("application/json;q=NaN", Wants::Any),
        ("text/plain", Wants::Any),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        assert_eq!(Wants::of(&headers), wants, "{accept}");
    }
}
