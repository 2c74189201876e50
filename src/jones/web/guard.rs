//! Where a request may come from: the hosts that it may name, and for a write the page that sent it.
//!
//! A browser sends the credentials that it has for this server with every request, also with one that a page of another
//! site made. So a write must show that it is not such a request:
//!
//! - `Origin` and `Sec-Fetch-Site`, which browsers send and pages cannot change, must be those of this server.
//! - Its content type must be `application/json`. A page of another site can send that, or `PUT` and `DELETE`, only after
//!   the browser has asked this server (CORS), which never agrees.
//!
//! Scripts of Jones send forms. A form is accepted from a client that sends none of `Origin`, `Sec-Fetch-Site` and
//! `Cookie`, which is not a browser of these years. An old browser sends a form by `POST` without them, so such a request
//! must also have no `Authorization`, which a browser adds by itself from the password that it remembers, and no `Referer`.
//! A form by `PUT` cannot come from a page of another site at all.

use std::net::IpAddr;

use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode, Version};

use crate::http_server::allowed_hosts::is_allowed;

use super::problem::Problem;

#[cfg(test)]
mod tests;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks the host that a request names (see [`is_allowed`]).
///
/// # Errors
/// It is another one, or there are several.
pub fn host(request: &Request<Incoming>, local: IpAddr, hosts: &[String]) -> Result<(), Problem> {
    let mut named = request.headers().get_all(header::HOST).iter();
    // RFC 9112, section 3.2: exactly one.
    let (host, None) = (named.next(), named.next()) else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "the request has more than one Host"));
    };
    if host.is_none() && request.version() >= Version::HTTP_11 {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "the request has no Host"));
    }
    let host = host.map(|host| host.to_str().unwrap_or_default());
    let target = request.uri().authority().map(Authority::as_str);
    if !host.into_iter().chain(target).all(|host| is_allowed(host, local, hosts)) {
        let why = "this host is not allowed: add it to `hosts` in [jones], or use a loopback address";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    Ok(())
}

/// Checks where a write comes from.
///
/// # Errors
/// It may come from a page of another site, or its body is of another type.
pub fn origin(request: &Request<Incoming>, hosts: &[String]) -> Result<(), Problem> {
    let path = request.uri().path();
    let takes_forms = path.starts_with("/service/") || path == "/service";
    check_origin(request.method(), request.headers(), hosts, takes_forms, !request.body().is_end_stream())
}

fn check_origin(
    method: &Method,
    headers: &HeaderMap,
    hosts: &[String],
    takes_forms: bool,
    has_body: bool,
) -> Result<(), Problem> {
    match *method {
        Method::GET | Method::HEAD => return Ok(()),
        Method::POST | Method::PUT | Method::DELETE => {}
        _ => return Err(Problem::no_method("GET, HEAD, POST, PUT, DELETE")),
    }
    let refused = |why: &str| Err(Problem::new(StatusCode::FORBIDDEN, why));
    let all = |name: HeaderName| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    let named = all(header::HOST).next().unwrap_or_default();
    if !all(header::ORIGIN).all(|origin| is_ours(origin, named, hosts)) {
        return refused("the request was sent by a page of another site: its Origin is not this server");
    }
    if !all(SEC_FETCH_SITE).all(|site| site == "same-origin") {
        return refused("the request was sent by a page of another site: its Sec-Fetch-Site is not same-origin");
    }
    let kind = all(header::CONTENT_TYPE).next().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (*method == Method::DELETE && kind.is_empty() && !has_body) {
        return Ok(());
    }
    let is_form = kind == "application/x-www-form-urlencoded" || (kind.is_empty() && !has_body);
    if !takes_forms || !is_form {
        let why = "a write needs the content type application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let sent_by_browsers: &[HeaderName] = if *method == Method::PUT {
        &[header::ORIGIN, SEC_FETCH_SITE, header::COOKIE]
    } else {
        &[header::ORIGIN, SEC_FETCH_SITE, header::COOKIE, header::AUTHORIZATION, header::REFERER]
    };
    match sent_by_browsers.iter().find(|name| headers.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            let why = format!("a form is accepted only from a script, without {name}: send application/json");
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
        }
    }
}

/// Whether an origin is this server: the host that the request names, or one of `hosts`, which a proxy may have replaced.
fn is_ours(origin: &str, named: &str, hosts: &[String]) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let is_public = || scheme == "https" && hosts.iter().any(|host| authority.eq_ignore_ascii_case(host));
    matches!(scheme, "http" | "https") && !named.is_empty() && authority.eq_ignore_ascii_case(named) || is_public()
}
