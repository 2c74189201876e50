use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::check_origin;

const HOST: &str = "127.0.0.1:8889";

/// The status of the refusal of a request with these headers, one a line; 0 if it is accepted.
fn status(method: &str, lines: &str, takes_forms: bool, has_body: bool) -> u16 {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static(HOST));
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.trim().split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    let method: Method = method.parse().unwrap();
    let hosts = ["jones.example.com".to_owned()];
    check_origin(&method, &headers, &hosts, takes_forms, has_body)
        .map_or_else(|problem| problem.status.as_u16(), |()| 0)
}

const JSON: &str = "content-type: application/json";
const FORM: &str = "content-type: application/x-www-form-urlencoded";

#[test]
fn a_write_from_a_page_of_another_site_is_refused() {
    for (origin, wanted) in [
        ("", 0),
        ("origin: http://127.0.0.1:8889", 0),
        ("origin: https://127.0.0.1:8889", 0),
        ("origin: https://jones.example.com", 0),
        ("origin: https://JONES.example.com", 0),
        ("sec-fetch-site: same-origin", 0),
        ("origin: http://127.0.0.1:3000", 403),
        ("origin: http://127.0.0.1", 403),
        ("origin: http://jones.example.com", 403),
        ("origin: https://jones.example.com:444", 403),
        ("origin: https://jones.example.com.evil.test", 403),
        ("origin: https://evil.test", 403),
        ("origin: null", 403),
        ("origin: 127.0.0.1:8889", 403),
        ("origin: file://127.0.0.1:8889", 403),
        ("origin: http://127.0.0.1:8889\norigin: http://evil.test", 403),
        ("sec-fetch-site: cross-site", 403),
        ("sec-fetch-site: same-site", 403),
        ("sec-fetch-site: none", 403),
        ("origin: http://127.0.0.1:8889\nsec-fetch-site: cross-site", 403),
    ] {
        for method in ["POST", "PUT", "DELETE"] {
            assert_eq!(status(method, &format!("{JSON}\n{origin}"), false, true), wanted, "{method} {origin}");
        }
        assert_eq!(status("GET", origin, false, false), 0, "reading is not a write: {origin}");
    }
}

#[test]
fn a_write_has_a_content_type_that_a_page_of_another_site_cannot_send() {
    for (method, head, takes_forms, has_body, wanted) in [
        ("POST", JSON, false, true, 0),
        ("POST", "content-type: Application/JSON; charset=utf-8", false, true, 0),
        ("POST", "content-type: text/plain", true, true, 415),
        ("POST", "content-type: text/plain; application/json", true, true, 415),
        ("POST", "content-type: multipart/form-data", true, true, 415),
        ("POST", "", false, false, 415),
        ("POST", "", true, true, 415),
        ("PUT", FORM, false, true, 415),
        ("DELETE", "", false, false, 0),
        ("DELETE", "", false, true, 415),
        ("OPTIONS", JSON, true, false, 405),
        ("PATCH", JSON, true, true, 405),
        ("TRACE", "", true, false, 405),
    ] {
        assert_eq!(status(method, head, takes_forms, has_body), wanted, "{method} {head}");
    }
}

#[test]
fn a_form_is_accepted_from_scripts_only() {
    for (method, more, wanted) in [
        ("PUT", "", 0),
        ("PUT", "authorization: Basic YTph", 0),
        ("PUT", "cookie: a=b", 415),
        ("PUT", "origin: http://127.0.0.1:8889", 415),
        ("PUT", "sec-fetch-site: same-origin", 415),
        ("PUT", "origin: http://evil.test", 403),
        ("POST", "", 0),
        ("POST", "authorization: Basic YTph", 415),
        ("POST", "referer: http://evil.test/", 415),
        ("POST", "cookie: a=b", 415),
        ("POST", "origin: null", 403),
        ("POST", "sec-fetch-site: cross-site", 403),
        ("DELETE", "cookie: a=b", 415),
    ] {
        assert_eq!(status(method, &format!("{FORM}\n{more}"), true, true), wanted, "{method} {more}");
    }
}
