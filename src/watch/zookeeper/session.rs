//! One session with an ensemble: connecting, asking within a time, closing.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use zookeeper_client::{Client, Error, SessionState, StateWatcher, TlsOptions};

use crate::config::{RegistryConfig, RegistryUrl, TlsFiles};
use crate::node::NodePath;

use super::fact::fact;

/// How long a session may take to close before it is left to expire.
const CLOSE: Duration = Duration::from_secs(1);

/// Where systems keep the authorities that they trust: Debian, Fedora, openSUSE, Alpine.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why a session is of no use any more, or there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The connection is lost; the session may come back by itself.
    Lost,
    /// Nothing came in time, or the session is over: only a new one helps. What happened, in words.
    Over(String),
    /// The server knows no persistent watches, or no multi-read: it is older than 3.6.
    TooOld,
    /// The server refused the request, which says nothing of the session: why.
    Refused(String),
}

/// One session.
#[derive(Debug)]
pub struct Session {
    client: Client,
    chroot: Option<NodePath>,
    /// The registry's address, for messages.
    url: String,
    limit: Duration,
}

impl Session {
    /// Connects: each server is tried once.
    ///
    /// # Errors
    /// Says what the client says, which is little; [`probe`](super::probe) finds the reason.
    pub async fn open(config: &RegistryConfig) -> Result<Self, String> {
        let RegistryUrl::ZooKeeper { servers, chroot, tls } = &config.url else {
            return Err(format!("{} is no ZooKeeper", config.url));
        };
        let mut connector = Client::connector().with_session_timeout(config.session_timeout).with_fail_eagerly();
        for auth in &config.auth {
            connector = connector.with_auth(&auth.scheme, &auth.secret);
        }
        let mut cluster = servers.join(",");
        if let Some(chroot) = chroot {
            cluster.push_str(chroot.as_str());
        }
        let connecting = async {
            if *tls {
                let options = tls_options(config.tls.as_ref())?;
                connector.with_tls(options).secure_connect(&cluster).await.map_err(|error| worded(config, &error))
            } else {
                connector.connect(&cluster).await.map_err(|error| worded(config, &error))
            }
        };
        // The client keeps to the session timeout by itself; this is for the case that it does not.
        let client = timeout(config.session_timeout * 2, connecting).await.map_err(|_| "no session in time")??;
        Ok(Self { client, chroot: chroot.clone(), url: config.url.to_string(), limit: config.session_timeout })
    }

    /// The client, for making requests.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether its `/` is the ensemble's own, and not a chroot.
    pub fn is_at_root(&self) -> bool {
        self.chroot.is_none()
    }

    /// The session's states from now on.
    pub fn states(&self) -> StateWatcher {
        self.client.state_watcher()
    }

    /// Waits for an answer, but no longer than the session timeout. What the server says of a node is the inner
    /// result.
    ///
    /// # Errors
    /// There is no answer, and what that means for the session.
    pub async fn ask<T>(&self, request: impl Future<Output = Result<T, Error>>) -> Result<Result<T, Error>, Trouble> {
        match timeout(self.limit, request).await {
            Err(_) => Err(Trouble::Over(format!("{} did not answer within {:?}", self.url, self.limit))),
            // Custom is the socket's own error, or the client's word that nothing came for too long.
            Ok(Err(Error::ConnectionLoss | Error::Custom(_))) => Err(Trouble::Lost),
            Ok(Err(Error::Unimplemented)) => Err(Trouble::TooOld),
            Ok(Err(
                error @ (Error::SessionExpired
                | Error::SessionMoved
                | Error::ClientClosed
                | Error::AuthFailed
                | Error::UnmarshalError { .. }
                | Error::UnexpectedError(_)),
            )) => Err(Trouble::Over(format!("{}: {error}", self.url))),
            Ok(answer) => Ok(answer),
        }
    }

    /// Makes sure that the chroot is there: without it every path would look absent, although nothing is known of it.
    ///
    /// # Errors
    /// It is not there, or there is no answer.
    pub async fn check_chroot(&self) -> Result<(), Trouble> {
        let Some(chroot) = &self.chroot else {
            return Ok(());
        };
        match self.ask(self.client.check_stat("/")).await? {
            Ok(None) => Err(Trouble::Over(format!(
                "the chroot {chroot} does not exist on {}; create it, or correct the registry's url",
                self.url
            ))),
            Ok(Some(_)) => Ok(()),
            // Then it is there. Any other refusal says nothing of it.
            Err(error) => fact(&error).map(|_| ()),
        }
    }

    /// Closes the session, so that the servers need not keep it until it expires.
    pub async fn close(self) {
        let mut states = self.states();
        drop(self);
        // The state that was left unseen may be the last one already.
        let closed = async {
            let mut state = states.state();
            while !state.is_terminated() {
                state = states.changed().await;
            }
        };
        if timeout(CLOSE, closed).await.is_err() {
            tracing::debug!("session left to expire");
        }
    }
}

/// What an ended session's state means, in words.
pub fn ended(config: &RegistryConfig, state: SessionState) -> String {
    match state {
        SessionState::AuthFailed => worded(config, &Error::AuthFailed),
        SessionState::Expired => "the session expired".into(),
        _ => "the session was closed".into(),
    }
}

/// What the client's word for a failure means for a person.
fn worded(config: &RegistryConfig, error: &Error) -> String {
    match error {
        Error::AuthFailed => {
            let files: Vec<String> =
                config.auth.iter().map(|auth| format!("{} from {}", auth.scheme, auth.file.display())).collect();
            if files.is_empty() {
                "the servers ask for credentials, and the registry has no auth".into()
            } else {
                format!("the servers refused the credentials: {}", files.join(", "))
            }
        }
        Error::NoHosts | Error::Timeout | Error::ConnectionLoss => "no server gave a session".into(),
        error => error.to_string(),
    }
}

/// Reads the PEM files anew for each session, so that a renewed certificate is taken up.
///
/// # Errors
/// Says which file could not be read, or what is wrong in it.
pub fn tls_options(files: Option<&TlsFiles>) -> Result<TlsOptions, String> {
    let ca = roots_pem(files)?;
    let options = TlsOptions::default().with_pem_ca(&ca.1).map_err(|error| format!("{}: {error}", ca.0))?;
    let Some((cert, key)) = files.and_then(|files| files.identity.as_ref()) else {
        return Ok(options);
    };
    options
        .with_pem_identity(&read(cert)?, &read(key)?)
        .map_err(|error| format!("{} with {}: {error}", cert.display(), key.display()))
}

/// The authorities to trust: where they are, and the PEM text.
///
/// # Errors
/// Says which file could not be read.
pub fn roots_pem(files: Option<&TlsFiles>) -> Result<(String, String), String> {
    if let Some(ca) = files.and_then(|files| files.ca.as_ref()) {
        return Ok((ca.display().to_string(), read(ca)?));
    }
    let found = SYSTEM_ROOTS.iter().find(|path| Path::new(path).exists());
    let path =
        found.ok_or("this system has no certificate authorities where they are looked for; name a file as ca")?;
    Ok(((*path).to_owned(), read(Path::new(path))?))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))
}
