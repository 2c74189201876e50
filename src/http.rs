//! HTTP GET requests: those of checks, to Exhibitor and to web registries.
//!
//! Each request has its own connection, so names are resolved and TLS files are read again each time. Proxies in the
//! environment are not used: an agent that root starts by hand must not take another way than one that systemd starts.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Body;
use ureq::http::header::{CONTENT_LENGTH, LOCATION};
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts};

use crate::zk::tls;

#[cfg(test)]
mod tests;

/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// What the requests of one caller have in common.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The time limit of a request, including redirects and the body.
    pub limit: Duration,
    /// The authorities to trust; those of the system if `None`.
    pub ca: Option<&'a Path>,
    /// A client certificate and its key.
    pub identity: Option<(&'a Path, &'a Path)>,
}

/// Why there is no complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What failed.
    pub reason: String,
    /// A retry would fail in the same way.
    pub is_final: bool,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self { reason, is_final: false }
    }
}

impl Client<'_> {
    /// Sends a request. The response may have any status.
    ///
    /// # Errors
    /// There is no response.
    pub fn get<'h>(
        &self,
        url: &str,
        headers: impl IntoIterator<Item = (&'h str, &'h str)>,
    ) -> Result<Response<Body>, Failure> {
        self.send(url, headers, self.limit)
    }

    /// Sends a request that has this time left.
    fn send<'h>(
        &self,
        url: &str,
        headers: impl IntoIterator<Item = (&'h str, &'h str)>,
        left: Duration,
    ) -> Result<Response<Body>, Failure> {
        let mut config = ureq::Agent::config_builder()
            .timeout_global(Some(left))
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent(concat!("rosterd/", env!("CARGO_PKG_VERSION")));
        if url.starts_with("https://") {
            config = config.tls_config(self.tls_config()?);
        }
        let agent: ureq::Agent = config.build().into();
        let request = headers.into_iter().fold(agent.get(url), |request, (name, value)| request.header(name, value));
        request.call().map_err(|error| self.failure(&error))
    }

    /// Sends a request, and follows redirects to the same host. No redirect leads from https to http.
    ///
    /// # Errors
    /// There is no response, or a redirect leads elsewhere.
    pub fn get_within_host(&self, url: &str, headers: &[(&str, &str)]) -> Result<Response<Body>, Failure> {
        let (began, mut url) = (Instant::now(), url.to_owned());
        for _ in 0..=MAX_REDIRECTS {
            let left = self.limit.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
            let response = self.send(&url, headers.iter().copied(), left)?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
            url = redirected(&url, location).map_err(|reason| Failure { reason, is_final: true })?;
        }
        Err(Failure { reason: format!("more than {MAX_REDIRECTS} redirects"), is_final: true })
    }

    /// Reads the complete body of a response, at most `max` bytes of it.
    ///
    /// # Errors
    /// It is larger, or cut off.
    pub fn read(&self, response: &mut Response<Body>, max: u64) -> Result<Vec<u8>, Failure> {
        let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let mut bytes = Vec::new();
        // What is certain to be too large is not read at all.
        let read = match length.filter(|length| *length > max) {
            Some(_) => Err(ureq::Error::BodyExceedsLimit(max)),
            None => response.body_mut().with_config().limit(max).reader().read_to_end(&mut bytes).map_err(Into::into),
        };
        match read {
            Ok(_) => Ok(bytes),
            Err(ureq::Error::BodyExceedsLimit(_)) => {
                Err(Failure { reason: format!("the response is larger than {max} bytes"), is_final: true })
            }
            Err(ureq::Error::Io(error)) if is_end(&error) => {
                let of = length.map(|length| format!(" of {length}")).unwrap_or_default();
                Err(format!("the response was cut off after {}{of} bytes", bytes.len()).into())
            }
            Err(error) => Err(self.failure(&error)),
        }
    }

    fn failure(&self, error: &ureq::Error) -> Failure {
        match error {
            ureq::Error::Timeout(_) => format!("no complete response within {:?}", self.limit).into(),
            ureq::Error::HostNotFound => "the name has no address".to_owned().into(),
            ureq::Error::Io(error) if is_end(error) => "the connection was closed without a response".to_owned().into(),
            ureq::Error::Io(error) => {
                let reason = tls::describe_refusal(error).unwrap_or_else(|| error.to_string());
                Failure { reason, is_final: tls::is_refusal(error) }
            }
            error => error.to_string().into(),
        }
    }

    /// The TLS files, as they are now.
    fn tls_config(&self) -> Result<ureq::tls::TlsConfig, Failure> {
        let owned = |certificates: Vec<rustls::pki_types::CertificateDer<'static>>| -> Vec<Certificate<'static>> {
            certificates.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
        };
        let roots = RootCerts::Specific(Arc::new(owned(tls::trusted(self.ca)?)));
        let mut config = ureq::tls::TlsConfig::builder().root_certs(roots);
        if let Some((cert, key)) = self.identity {
            let pem = tls::read(key)?;
            let secret = PrivateKey::from_pem(&pem)
                .map_err(|_| format!("{} contains no unencrypted PEM private key", key.display()))?;
            config = config.client_cert(Some(ClientCert::new_with_certs(&owned(tls::certificates(cert)?), secret)));
        }
        Ok(config.unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider())).build())
    }
}

/// Whether the other side closed the connection.
fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

/// The URL that a redirect leads to, if it is on the same host.
fn redirected(from: &str, location: &str) -> Result<String, String> {
    let (scheme, rest) = from.split_once("://").unwrap_or_default();
    let path = rest.find(['/', '?']).unwrap_or(rest.len());
    let to = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{}{location}", &rest[..path])
    } else {
        let base =
            rest.split('?').next().and_then(|path| path.rsplit_once('/')).map_or(&rest[..path], |(base, _)| base);
        format!("{scheme}://{base}/{location}")
    };
    // Parsed as the request itself is, so that both mean the same host.
    let host = |url: &str| url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase));
    match (host(from), host(&to)) {
        (_, None) => Err("the redirect has no valid location".to_owned()),
        (here, there) if here != there => {
            Err(format!("it redirects to another host, {}", there.unwrap_or_default().escape_debug()))
        }
        _ if scheme == "https" && !to.starts_with("https://") => {
            Err("it redirects from https to another scheme".into())
        }
        _ => Ok(to),
    }
}
