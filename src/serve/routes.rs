//! Which answer each request gets.

use std::net::IpAddr;

use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode, Version};

use super::limits::STALLED_AFTER;
use super::shared::Shared;
use super::{event_stream, page};
use crate::http_server::allowed_hosts::is_allowed;
use crate::http_server::answers::{Body, full, text};
use crate::metrics::Format;

/// What every answer has. The page uses only its own files.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The answer to a request on a connection to the address `local`. The body of the request is not read.
pub async fn answer(request: &Request<Incoming>, local: IpAddr, hosts: &[String], shared: &Shared) -> Response<Body> {
    let mut response = match check(request, local, hosts) {
        Ok(()) => route(request, shared).await,
        Err((status, why)) => text(status, why),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !request.body().is_end_stream() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Refuses what no path accepts.
fn check(request: &Request<Incoming>, local: IpAddr, hosts: &[String]) -> Result<(), (StatusCode, &'static str)> {
    let mut named = request.headers().get_all(header::HOST).iter();
    // RFC 9112, section 3.2: exactly one.
    let (host, None) = (named.next(), named.next()) else {
        return Err((StatusCode::BAD_REQUEST, "the request has more than one Host\n"));
    };
    if host.is_none() && request.version() >= Version::HTTP_11 {
        return Err((StatusCode::BAD_REQUEST, "the request has no Host\n"));
    }
    let host = host.map(|host| host.to_str().unwrap_or_default());
    let target = request.uri().authority().map(Authority::as_str);
    if !host.into_iter().chain(target).all(|host| is_allowed(host, local, hosts)) {
        let why = "this host is not allowed: add it to `hosts` in [status], or use a loopback address\n";
        return Err((StatusCode::FORBIDDEN, why));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD: this is read only\n"));
    }
    Ok(())
}

async fn route(request: &Request<Incoming>, shared: &Shared) -> Response<Body> {
    match request.uri().path() {
        "/live" => live(shared).await,
        "/ready" => ready(shared).await,
        "/" => match shared.snapshots.get().await {
            Some(snapshot) => {
                full(StatusCode::OK, "text/html; charset=utf-8", snapshot.page(&shared.recent, shared.history.as_ref()))
            }
            None => unanswered(),
        },
        "/status.json" => match shared.snapshots.get().await {
            Some(snapshot) => full(StatusCode::OK, "application/json", snapshot.json()),
            None => unanswered(),
        },
        "/metrics" => metrics(request, shared).await,
        "/events" => event_stream::answer(request, shared),
        path => match page::file(path) {
            Some((kind, file)) => full(StatusCode::OK, kind, Bytes::from_static(file.as_bytes())),
            None => text(StatusCode::NOT_FOUND, "not found: see / for what is here\n"),
        },
    }
}

async fn live(shared: &Shared) -> Response<Body> {
    if shared.heartbeat.beats_within(STALLED_AFTER).await { text(StatusCode::OK, "ok\n") } else { unanswered() }
}

async fn ready(shared: &Shared) -> Response<Body> {
    let Some(snapshot) = shared.snapshots.get().await else { return unanswered() };
    let reasons = snapshot.not_ready();
    if reasons.is_empty() {
        return text(StatusCode::OK, "ready\n");
    }
    text(StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
}

async fn metrics(request: &Request<Incoming>, shared: &Shared) -> Response<Body> {
    let Some(current) = shared.snapshots.get().await else { return unanswered() };
    let accept: Vec<&str> =
        request.headers().get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    full(StatusCode::OK, format.content_type(), shared.metrics.encode(current.snapshot.clone(), format))
}

/// The event loop does not answer, or has ended.
fn unanswered() -> Response<Body> {
    text(StatusCode::SERVICE_UNAVAILABLE, "the agent makes no progress, or is stopping\n")
}
