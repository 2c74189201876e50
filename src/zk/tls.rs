//! TLS to a server. The server's certificate must chain to a trusted authority and be for the host name in use. No
//! option turns that off.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};

#[cfg(test)]
mod tests;

/// Where distributions keep the authorities that they trust: Debian, Fedora, openSUSE, Alpine.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reads the PEM files of a TLS configuration: the authorities to trust (those of the system by default), and the
/// certificate and key of this client. It is called for each connection, so that a renewed certificate takes effect
/// without a restart.
///
/// # Errors
/// The file that cannot be read, or what is wrong with it.
pub fn client_config(ca: Option<&Path>, identity: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>, String> {
    let roots = match ca {
        Some(ca) => named_roots(ca)?,
        None => system_roots()?,
    };
    // By default ZooKeeper before 3.9 speaks TLS 1.2 only.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots);
    let Some((cert, key)) = identity else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let chain = certificates(cert)?;
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|_| format!("{} contains no unencrypted PEM private key", key.display()))?;
    let config = builder.with_client_auth_cert(chain, secret).map_err(|error| match error {
        Error::InconsistentKeys(_) => {
            format!("the key {} does not match the certificate {}", key.display(), cert.display())
        }
        error => format!("{} with {}: {error}", cert.display(), key.display()),
    })?;
    Ok(Arc::new(config))
}

/// The authorities in a file. Each one must be usable.
fn named_roots(ca: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", ca.display()))?;
    }
    Ok(roots)
}

/// The authorities that this system trusts. Unusable ones are ignored.
fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted(None)?);
    Ok(roots)
}

/// The authorities in a file, or those of the system.
///
/// # Errors
/// The file that cannot be read, or what is wrong with it.
pub fn trusted(ca: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = ca.or_else(|| SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists()));
    certificates(found.ok_or("no system certificate authorities found; set ca in tls")?)
}

/// The certificates in a PEM file; at least one.
///
/// # Errors
/// The file cannot be read, or contains none.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    let found = found.map_err(|error| format!("{shown}: {error}"))?;
    if found.is_empty() { Err(format!("{shown} contains no PEM certificate")) } else { Ok(found) }
}

/// Reads a file.
///
/// # Errors
/// Names the file, and why it cannot be read.
pub fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

/// What went wrong on a TLS connection, and what to correct.
pub fn describe(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => describe_tls(error),
        // A server without TLS reads the handshake as the length of a frame, and hangs up.
        None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            "connection closed during the handshake; for a port without TLS, write zk://".into()
        }
        None => error.to_string(),
    }
}

/// What is wrong with the server's certificate, or the alert that the server sent; `None` for another error.
pub fn describe_refusal(error: &io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(wrong) => Some(describe_certificate(wrong)),
        Error::AlertReceived(alert) => Some(describe_alert(*alert)),
        _ => None,
    }
}

/// Whether a retry would fail in the same way: a certificate or the protocol was refused.
pub fn is_refusal(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    error.is_some_and(|error| match error {
        Error::InvalidCertificate(_) | Error::InvalidMessage(_) | Error::PeerIncompatible(_) => true,
        Error::AlertReceived(alert) => *alert != AlertDescription::InternalError,
        _ => false,
    })
}

fn describe_tls(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(wrong) => describe_certificate(wrong),
        Error::InvalidMessage(_) => "the server does not speak TLS; for a port without TLS, write zk://".into(),
        Error::AlertReceived(alert) => describe_alert(*alert),
        error => error.to_string(),
    }
}

fn describe_certificate(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::UnknownIssuer => {
            "the server's certificate is not signed by a trusted authority (ca in tls)".into()
        }
        CertificateError::BadSignature => {
            "the server's certificate names a trusted authority, but is not signed by it (ca in tls may be out of date)"
                .into()
        }
        CertificateError::Expired => "the server's certificate has expired".into(),
        CertificateError::NotValidYet => "the server's certificate is not valid yet".into(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("the server's certificate is not for {}, but for {names}", expected.to_str())
        }
        CertificateError::ExpiredContext { not_after, time } => {
            format!("the server's certificate expired on {} (now: {})", date(*not_after), date(*time))
        }
        CertificateError::NotValidYetContext { not_before, time } => {
            format!("the server's certificate is not valid before {} (now: {})", date(*not_before), date(*time))
        }
        wrong => format!("the server's certificate is invalid: {wrong}"),
    }
}

/// The name in `DnsName("zk1")` or `IpAddress(10.0.0.1)`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

fn date(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(|| "an unknown date".into(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

/// What an alert of the server means.
fn describe_alert(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::BadCertificate
        | Alert::CertificateRequired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::UnsupportedCertificate
        | Alert::AccessDenied => {
            format!(
                "the server refuses this client: it requires a different client certificate (cert and key in tls): {alert:?}"
            )
        }
        Alert::CertificateExpired | Alert::CertificateRevoked => {
            format!("the server refuses this client: its certificate (cert in tls) is no longer valid: {alert:?}")
        }
        Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity => {
            format!("no TLS version or cipher in common, or the server requires a client certificate: {alert:?}")
        }
        alert => format!("the server aborted the handshake: {alert:?}"),
    }
}
