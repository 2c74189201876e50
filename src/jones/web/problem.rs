//! Why a request is refused, with the status of the answer.

use std::collections::BTreeMap;

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::{Cause, Exit, Fatal};
use crate::http_server::answers::{Body, text};

/// Why a request is refused.
#[derive(Debug)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// What was tried, why it failed, and what to do.
    pub detail: String,
    /// Further members.
    pub more: BTreeMap<&'static str, Box<RawValue>>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    /// A problem.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), more: BTreeMap::new(), header: None }
    }

    /// What is asked for is wrong in itself.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// There is no such page.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing here: see / for what there is")
    }

    /// ZooKeeper does not answer, or this server is busy.
    pub fn unreached(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        problem.header(header::RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// The method is not one of these.
    pub fn no_method(allowed: &'static str) -> Self {
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("only {allowed} here"));
        problem.header(header::ALLOW, HeaderValue::from_static(allowed))
    }

    /// With a member.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &impl Serialize) -> Self {
        self.more.extend(to_raw_value(value).ok().map(|value| (name, value)));
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// The answer as plain text.
    pub fn plain(self) -> Response<Body> {
        let response = text(self.status, self.detail.clone() + "\n");
        self.finish(response)
    }

    /// An answer with the header of the problem.
    pub fn finish(self, mut response: Response<Body>) -> Response<Body> {
        if let Some((name, value)) = self.header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<Fatal> for Problem {
    fn from(fatal: Fatal) -> Self {
        let status = match (fatal.exit, fatal.cause) {
            (Exit::Unreached, _) => return Self::unreached(fatal.message),
            (_, Cause::Missing) => StatusCode::NOT_FOUND,
            (_, Cause::Denied) => StatusCode::FORBIDDEN,
            (_, Cause::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            // Somebody else has changed the same.
            (Exit::Held, _) => StatusCode::CONFLICT,
            (Exit::Config, _) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, fatal.message)
    }
}
