//! A request, with its path in segments, its body and its user.

use std::collections::BTreeMap;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::jones::path::{Env, Service};

use super::problem::Problem;
use super::wants::Wants;

/// The maximum size of a body, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// The time limit for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A request.
#[derive(Debug)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// The segments of its path, decoded. Empty ones are left out.
    pub path: Vec<String>,
    /// Its query.
    pub query: BTreeMap<String, String>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Who asks; `None` if nobody is asked who they are.
    pub user: Option<String>,
    /// What the client wants to read.
    pub wants: Wants,
}

impl Call {
    /// Reads a request to its end.
    ///
    /// # Errors
    /// It is too large, too slow, or cut off, or its path is not valid.
    pub async fn read(request: Request<Incoming>, user: Option<String>, wants: Wants) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        let path = segments(head.uri.path())?;
        let query = head.uri.query().unwrap_or_default();
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let body = match timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(why)) if why.is::<LengthLimitError>() => {
                let detail = format!("the body has more than {MAX_BODY} bytes; nothing was written");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
            }
            Ok(Err(why)) => return Err(Problem::new(StatusCode::BAD_REQUEST, format!("the body is cut off: {why}"))),
            Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
        };
        Ok(Self { method: head.method, path, query, headers: head.headers, body, user, wants })
    }

    /// Whether it only reads.
    pub fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// Whether the body is JSON, and not a form.
    pub fn is_json(&self) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("application/json"))
    }

    /// The body as JSON. An empty one is an empty object.
    ///
    /// # Errors
    /// It is another value: where and why.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let body = if self.body.is_empty() { b"{}" } else { &*self.body };
        serde_json::from_slice(body).map_err(|why| Problem::invalid(format!("the body of the request: {why}")))
    }

    /// A field of a form.
    ///
    /// # Errors
    /// It is missing.
    pub fn field(&self, name: &str) -> Result<String, Problem> {
        let found = form_urlencoded::parse(&self.body).find(|(field, _)| field == name);
        found
            .map(|(_, value)| value.into_owned())
            .ok_or_else(|| Problem::invalid(format!("the field {name} is missing")))
    }

    /// What `If-Match` has, without its quotes.
    pub fn if_match(&self) -> Option<&str> {
        let value = self.headers.get(header::IF_MATCH)?.to_str().ok()?.trim();
        Some(value.trim_start_matches("W/").trim_matches('"'))
    }
}

/// The decoded segments of a path.
fn segments(path: &str) -> Result<Vec<String>, Problem> {
    let decode = |segment: &str| percent_decode_str(segment).decode_utf8().map(std::borrow::Cow::into_owned);
    let segments = path.split('/').filter(|segment| !segment.is_empty()).map(decode);
    segments.collect::<Result<_, _>>().map_err(|_| Problem::invalid("the path is not valid UTF-8"))
}

/// Parses the name of a service.
///
/// # Errors
/// `ZooKeeper` does not accept it.
pub fn service(name: &str) -> Result<Service, Problem> {
    Service::parse(name).map_err(|why| Problem::invalid(format!("{name:?} is not the name of a service: {why}")))
}

/// Parses the path of an environment. `/` is the root environment, as Jones writes it.
///
/// # Errors
/// `ZooKeeper` does not accept it.
pub fn env(path: &str) -> Result<Env, Problem> {
    let parsed = Env::parse(path.trim_matches('/'));
    parsed.map_err(|why| Problem::invalid(format!("{path:?} is not the name of an environment: {why}")))
}

/// Parses the name of a host.
///
/// # Errors
/// It is none.
pub fn host(name: &str) -> Result<String, Problem> {
    crate::jones::hosts::parse(name)
        .map_err(|why| Problem::invalid(format!("{name:?} is not the name of a host: {why}")))
}

/// Parses `17` or `r17`.
///
/// # Errors
/// It is another text.
pub fn revision(text: &str) -> Result<u64, Problem> {
    let digits = text.strip_prefix('r').unwrap_or(text);
    digits.parse().map_err(|_| Problem::invalid(format!("{text:?} is not the number of a revision")))
}
