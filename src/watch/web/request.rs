//! One request for the object.

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use ureq::http::HeaderMap;

use crate::config::{RegistryConfig, web};
use crate::http::{Client, Failure};
use crate::model::registry_event::Unreachable;
use crate::watch::MAX_PATH_BYTES;

/// How long before its response an object must have been modified for its validators to be used. Those of some servers
/// have a resolution of a second (nginx: modification time and size), so that a further change may not alter them.
const SETTLED: SignedDuration = SignedDuration::from_secs(2);

/// What identifies a version of the object on its server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
}

/// A complete answer.
#[derive(Debug)]
pub enum Answer {
    /// The object is the version of the validators.
    Unchanged,
    /// The object, which may be unchanged too.
    Changed {
        /// Its content.
        body: Vec<u8>,
        /// Its version; empty if that is unknown.
        validators: Validators,
    },
}

impl From<Failure> for Unreachable {
    fn from(Failure { reason, is_final }: Failure) -> Self {
        Self { reason, is_final }
    }
}

/// Requests the object, unless it is the version of the validators.
///
/// # Errors
/// There is no complete answer with a status that says something about the members.
pub fn request(config: &RegistryConfig, url: &str, validators: &Validators) -> Result<Answer, Unreachable> {
    let tls = config.tls.as_ref();
    let client = Client {
        limit: config.timeout,
        ca: tls.and_then(|tls| tls.ca.as_deref()),
        identity: tls.and_then(|tls| tls.identity.as_ref()).map(|(cert, key)| (cert.as_path(), key.as_path())),
    };
    let Validators { etag, last_modified } = validators;
    let mut headers: Vec<(&str, &str)> = config.auth.iter().filter_map(|auth| web::header(&auth.secret)).collect();
    // A cache on the way asks the server whether its copy is current.
    headers.push(("Cache-Control", "no-cache"));
    headers.extend(etag.as_deref().map(|etag| ("If-None-Match", etag)));
    headers.extend(last_modified.as_deref().map(|date| ("If-Modified-Since", date)));
    let mut response = client.get_within_host(url, &headers)?;
    let status = response.status();
    match status.as_u16() {
        200 => {}
        304 if *validators != Validators::default() => return Ok(Answer::Unchanged),
        // Most of the requests that a server refuses, it refuses again. The others are those to be repeated later.
        code => {
            let is_final = status.is_redirection() || status.is_client_error() && !matches!(code, 408 | 425 | 429);
            return Err(Unreachable { reason: format!("status {status}, expected 200"), is_final });
        }
    }
    let is_http10 = response.version() == ureq::http::Version::HTTP_10;
    check_form(response.headers(), is_http10).map_err(|reason| Unreachable { reason, is_final: true })?;
    let body = client.read(&mut response, MAX_PATH_BYTES as u64)?;
    Ok(Answer::Changed { body, validators: read_validators(response.headers()) })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Checks that the end of the body can be told from a cut, and that the body is not compressed.
fn check_form(headers: &HeaderMap, is_http10: bool) -> Result<(), String> {
    let mut encodings = headers.get_all("content-encoding").iter().map(|value| value.to_str().unwrap_or("?"));
    if let Some(encoding) = encodings.find(|encoding| *encoding != "identity") {
        return Err(format!("the response is compressed ({})", encoding.escape_debug()));
    }
    // As ureq decides. Otherwise it reads until the connection is closed.
    let is_chunked = !is_http10
        && text(headers, "transfer-encoding")
            .is_some_and(|all| all.split(',').any(|one| one.trim().eq_ignore_ascii_case("chunked")));
    if headers.contains_key("content-length") || is_chunked {
        return Ok(());
    }
    Err("the response has neither Content-Length nor chunks, so that a cut would not be noticed".into())
}

/// The validators of a response; none if the object may change without changing them.
fn read_validators(headers: &HeaderMap) -> Validators {
    let date = |name| -> Option<Timestamp> { Some(rfc2822::parse(text(headers, name)?).ok()?.timestamp()) };
    let (etag, modified) = (text(headers, "etag"), text(headers, "last-modified"));
    let is_settled = match (date("date"), date("last-modified")) {
        (Some(sent), Some(modified)) => sent.duration_since(modified) >= SETTLED,
        _ => modified.is_none(),
    };
    if !is_settled {
        return Validators::default();
    }
    Validators { etag: etag.map(str::to_owned), last_modified: modified.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::{HeaderName, HeaderValue};

    #[test]
    fn validators_of_an_object_that_has_just_changed_are_not_used() {
        const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        let read = |headers: &[(&'static str, &'static str)]| {
            let header = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let Validators { etag, last_modified } = read_validators(&headers.iter().map(header).collect());
            (etag.is_some(), last_modified.is_some())
        };
        let all = |date| read(&[("etag", "\"a\""), ("last-modified", AT), ("date", date)]);
        assert_eq!(all("Sun, 06 Nov 1994 08:49:37 GMT"), (false, false));
        assert_eq!(all("Sun, 06 Nov 1994 08:49:38 GMT"), (false, false));
        assert_eq!(all("Sun, 06 Nov 1994 08:49:39 GMT"), (true, true));
        // A clock that runs behind the time of the object says nothing.
        assert_eq!(all("Sun, 06 Nov 1994 08:49:30 GMT"), (false, false));
        assert_eq!(read(&[("etag", "\"a\"")]), (true, false));
        assert_eq!(read(&[("etag", "\"a\""), ("last-modified", AT)]), (false, false));
        assert_eq!(read(&[("etag", "\"a\""), ("last-modified", "yesterday"), ("date", AT)]), (false, false));
        assert_eq!(read(&[]), (false, false));
    }
}
