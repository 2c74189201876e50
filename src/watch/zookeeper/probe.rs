//! Why a ZooKeeper is not reached, in words.
//!
//! The client says no more than that no server gave a session. So each server is asked once more by hand: does its
//! name resolve, does it accept a connection, is the TLS handshake done, and does it say of itself that it serves.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream as Blocking};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::config::{RegistryConfig, RegistryUrl, TlsFiles};

use super::session::roots_pem;

/// How long one server may take over each step.
const STEP: Duration = Duration::from_secs(1);

/// Why the registry is not reached: what was seen before, and what each server does now.
pub async fn why(config: &RegistryConfig, seen: &str) -> String {
    let RegistryUrl::ZooKeeper { servers, tls, .. } = &config.url else {
        return seen.to_owned();
    };
    let files = config.tls.as_ref();
    let found = join_all(servers.iter().map(|server| one(server, *tls, files))).await;
    let mut text = format!("{}: {seen}", config.url);
    for (server, found) in servers.iter().zip(found) {
        // Writing to a string does not fail.
        let _ = write!(text, "; {server}: {found}");
    }
    text
}

/// What one server does.
async fn one(server: &str, tls: bool, files: Option<&TlsFiles>) -> String {
    let addresses = match timeout(STEP * 2, lookup_host(server)).await {
        Err(_) => return "the name was not resolved in time".into(),
        Ok(Err(error)) => return format!("the name does not resolve: {error}"),
        Ok(Ok(addresses)) => addresses.collect::<Vec<SocketAddr>>(),
    };
    let mut refused = "the name has no address".to_owned();
    for address in addresses.into_iter().take(4) {
        match timeout(STEP, TcpStream::connect(address)).await {
            Err(_) => refused = format!("no connection within {STEP:?}"),
            Ok(Err(error)) => refused = error.to_string(),
            Ok(Ok(stream)) => {
                return if tls { handshake(server, stream, files).await } else { word(stream).await };
            }
        }
    }
    refused
}

/// What a server says to the four-letter word `srvr`, which every server allows unless told otherwise.
async fn word(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let asked = async {
        stream.write_all(b"srvr").await?;
        (&mut stream).take(1024).read_to_end(&mut answer).await
    };
    let asked = timeout(STEP, asked).await;
    let text = String::from_utf8_lossy(&answer);
    match asked {
        _ if text.contains("not currently serving") => "it is up, but not serving: it has no quorum, or is starting",
        _ if text.starts_with("Zookeeper version") => "it is up and serving",
        Err(_) => "it accepts connections, but does not answer",
        Ok(Err(_)) => "it accepts connections, but drops them",
        Ok(Ok(_)) => "it accepts connections",
    }
    .into()
}

/// How far a TLS handshake gets.
async fn handshake(server: &str, stream: TcpStream, files: Option<&TlsFiles>) -> String {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let files = files.cloned();
    let shaken = tokio::task::spawn_blocking(move || {
        let stream = stream.into_std().map_err(|error| error.to_string())?;
        shake(&host, stream, files.as_ref())
    });
    match shaken.await {
        Ok(Ok(())) => "the TLS handshake works".into(),
        Ok(Err(error)) => format!("TLS: {error}"),
        Err(error) => format!("TLS: {error}"),
    }
}

fn shake(host: &str, mut stream: Blocking, files: Option<&TlsFiles>) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let (_, pem) = roots_pem(files)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).flatten());
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let config = match files.and_then(|files| files.identity.as_ref()) {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = CertificateDer::pem_file_iter(cert).map_err(|e| text(&e))?.flatten().collect();
            let key = PrivateKeyDer::from_pem_file(key).map_err(|e| text(&e))?;
            builder.with_client_auth_cert(chain, key).map_err(|e| text(&e))?
        }
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|e| text(&e))?;
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(|e| text(&e))?;
    stream.set_nonblocking(false).map_err(|e| text(&e))?;
    stream.set_read_timeout(Some(STEP)).map_err(|e| text(&e))?;
    stream.set_write_timeout(Some(STEP)).map_err(|e| text(&e))?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).map_err(|e| text(&e))?;
    }
    Ok(())
}
