//! TLS to a ZooKeeper: the server's certificate must chain to an authority that is trusted and be for the name that was
//! asked for, and nothing can turn that off.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};

use crate::config::TlsFiles;

#[cfg(test)]
mod tests;

/// Where systems keep the authorities that they trust: Debian, Fedora, openSUSE, Alpine.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reads the PEM files and makes of them what a connection needs. To be called for each connection, so that a renewed
/// certificate is taken up without a restart.
///
/// # Errors
/// Which file could not be read, or what is wrong in it.
pub fn client_config(files: Option<&TlsFiles>) -> Result<Arc<ClientConfig>, String> {
    let roots = match files.and_then(|files| files.ca.as_ref()) {
        Some(ca) => named_roots(ca)?,
        None => system_roots()?,
    };
    // ZooKeeper before 3.9 speaks TLS 1.2 unless it is told otherwise.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots);
    let Some((cert, key)) = files.and_then(|files| files.identity.as_ref()) else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let chain = certificates(cert)?;
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|_| format!("{} holds no private key that is not encrypted, as PEM", key.display()))?;
    let config = builder.with_client_auth_cert(chain, secret).map_err(|error| match error {
        Error::InconsistentKeys(_) => format!("{} is not the key of {}", key.display(), cert.display()),
        error => format!("{} with {}: {error}", cert.display(), key.display()),
    })?;
    Ok(Arc::new(config))
}

/// The authorities that a file names: each of them must be usable.
fn named_roots(ca: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", ca.display()))?;
    }
    Ok(roots)
}

/// The authorities that this system trusts, but for those that nobody could use.
fn system_roots() -> Result<RootCertStore, String> {
    let found = SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists());
    let path = found
        .ok_or("this system has no certificate authorities where they are looked for; name a file as ca in tls")?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(path)?);
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    let found = found.map_err(|error| format!("{shown}: {error}"))?;
    if found.is_empty() { Err(format!("{shown} holds no certificate as PEM")) } else { Ok(found) }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("read {}: {error}", file.display()))
}

/// What went wrong on a connection that was to be TLS, in words that name what to mend.
pub fn words(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => fault(error),
        // A plain server takes the handshake for a frame of an absurd length, and hangs up.
        None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            "it hung up in the handshake; for a port without TLS, write zk://".into()
        }
        None => error.to_string(),
    }
}

fn fault(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(wrong) => certificate_fault(wrong),
        Error::InvalidMessage(_) => "it does not speak TLS; for a port without it, write zk://".into(),
        Error::AlertReceived(alert) => alerted(*alert),
        error => error.to_string(),
    }
}

fn certificate_fault(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::UnknownIssuer => {
            "its certificate is from no authority that is trusted here (ca in tls names those that are)".into()
        }
        CertificateError::BadSignature => {
            "its certificate names an authority that is trusted here, and is not signed by it (ca in tls may be out of \
             date)"
                .into()
        }
        CertificateError::Expired => "its certificate has expired".into(),
        CertificateError::NotValidYet => "its certificate is not valid yet".into(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            format!("its certificate is not for {}, but for {names}", expected.to_str())
        }
        CertificateError::ExpiredContext { not_after, time } => {
            format!("its certificate expired on {} (it is {} here)", date(*not_after), date(*time))
        }
        CertificateError::NotValidYetContext { not_before, time } => {
            format!("its certificate is valid from {} on (it is {} here)", date(*not_before), date(*time))
        }
        wrong => format!("its certificate is not good: {wrong}"),
    }
}

/// A name as it stands in `DnsName("zk1")` or `IpAddress(10.0.0.1)`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

fn date(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(|| "a day out of reach".into(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

/// What a server complains of.
fn alerted(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::BadCertificate
        | Alert::CertificateRequired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::UnsupportedCertificate
        | Alert::AccessDenied => {
            format!(
                "it does not let this host in: it wants another client certificate (cert and key in tls): {alert:?}"
            )
        }
        Alert::CertificateExpired | Alert::CertificateRevoked => {
            format!("it does not let this host in: the client certificate (cert in tls) is no longer valid: {alert:?}")
        }
        Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity => {
            format!(
                "it has no version or cipher of TLS in common with rosterd, or wants a client certificate: {alert:?}"
            )
        }
        alert => format!("it broke the handshake off: {alert:?}"),
    }
}
