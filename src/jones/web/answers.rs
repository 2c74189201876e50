//! How answers are written.

use std::collections::BTreeMap;

use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::http_server::answers::{Body, full};

use super::pages;
use super::problem::Problem;
use super::wants::Wants;

/// A problem as problem details (RFC 9457).
#[derive(Serialize)]
struct Details<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    more: &'a BTreeMap<&'static str, Box<RawValue>>,
}

/// A page.
pub fn page(html: String) -> Response<Body> {
    full(StatusCode::OK, "text/html; charset=utf-8", html)
}

/// JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    full(status, "application/json", serde_json::to_vec(value).unwrap_or_default())
}

/// JSON with an entity tag.
pub fn tagged(etag: &str, value: &impl Serialize) -> Response<Body> {
    let mut response = json(StatusCode::OK, value);
    let tag = HeaderValue::try_from(format!("\"{etag}\""));
    if let Ok(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// A problem, for a request for this path.
pub fn problem(problem: Problem, wants: Wants, path: &str) -> Response<Body> {
    let (status, detail) = (problem.status, &problem.detail);
    let response = if path.starts_with("/api/") || wants == Wants::Json {
        let title = status.canonical_reason().unwrap_or_default();
        let details = Details { r#type: "about:blank", title, status: status.as_u16(), detail, more: &problem.more };
        full(status, "application/problem+json", serde_json::to_vec(&details).unwrap_or_default())
    } else if wants == Wants::Html {
        full(status, "text/html; charset=utf-8", pages::problem(status, detail))
    } else {
        return problem.plain();
    };
    problem.finish(response)
}
