//! TLS to the servers, as the configuration's files say.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::TlsFiles;

/// Where systems keep the authorities that they trust: Debian, Fedora, openSUSE, Alpine.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reads the PEM files anew for each round of tries, so that a renewed certificate is taken up.
///
/// # Errors
/// Says which file could not be read, or what is wrong in it.
pub fn client_config(files: Option<&TlsFiles>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(roots_pem(files)?.as_bytes()).flatten());
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let Some((cert, key)) = files.and_then(|files| files.identity.as_ref()) else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let wrong = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert).map_err(|error| wrong(cert, &error))?.collect();
    let chain = chain.map_err(|error| wrong(cert, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let config = builder.with_client_auth_cert(chain, secret).map_err(|error| wrong(cert, &error))?;
    Ok(Arc::new(config))
}

/// The authorities to trust, as PEM text.
fn roots_pem(files: Option<&TlsFiles>) -> Result<String, String> {
    let ca = files.and_then(|files| files.ca.as_deref());
    let path = ca.or_else(|| SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists()));
    let path = path.ok_or("this system has no certificate authorities where they are looked for; name a file as ca")?;
    fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))
}
