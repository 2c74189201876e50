//! Who asks, and what they may do.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::config::{Grants, JonesWeb, WebAuth};
use crate::error::{Exit, Fatal};
use crate::model::digest::sha256;

use super::problem::Problem;

#[cfg(test)]
mod tests;

/// How many passwords are compared at a time: each comparison takes a good part of a second of a processor, on purpose.
const MAX_COMPARISONS: usize = 2;

/// How many more may wait for that. One more is refused at once, so that a right password never waits for long.
const MAX_WAITING: usize = 8;

/// How many passwords that were right are remembered.
const MAX_REMEMBERED: usize = 1000;

/// Who may do what.
#[derive(Debug)]
pub struct Access {
    config: JonesWeb,
    comparisons: Arc<Semaphore>,
    /// Those that wait are counted, too.
    asked: Semaphore,
    /// By user: the line of the file, and the digest of the password that it was right for.
    right: Mutex<HashMap<String, (String, String)>>,
}

/// Checks that an address that others can reach has users.
///
/// # Errors
/// It has none: what to do. Or the file of users cannot be read, or others may write it.
pub fn check(config: &JonesWeb, listen: SocketAddr) -> Result<(), Fatal> {
    let wrong = |why: String| Err(Fatal::new(Exit::Config, why));
    match &config.auth {
        None if !listen.ip().to_canonical().is_loopback() => wrong(format!(
            "{listen} is not a loopback address, and everybody who reaches it could read the configuration of all \
             services: set `auth` in [jones], or listen on 127.0.0.1"
        )),
        Some(WebAuth::Basic { users }) => match read_users(users) {
            Ok(_) => Ok(()),
            Err(why) => wrong(why),
        },
        _ => Ok(()),
    }
}

impl Access {
    /// The rules of a configuration.
    pub fn new(config: &JonesWeb) -> Self {
        let comparisons = Arc::new(Semaphore::new(MAX_COMPARISONS));
        let asked = Semaphore::new(MAX_COMPARISONS + MAX_WAITING);
        Self { config: config.clone(), comparisons, asked, right: Mutex::default() }
    }

    /// Who sends a request; `None` if nobody is asked.
    ///
    /// # Errors
    /// They do not prove it.
    pub async fn user(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Option<String>, Problem> {
        match &self.config.auth {
            None => Ok(None),
            Some(WebAuth::Header { name, proxies }) => user_by_header(headers, name, proxies, peer).map(Some),
            Some(WebAuth::Basic { users }) => self.user_by_password(headers, users).await.map(Some),
        }
    }

    async fn user_by_password(&self, headers: &HeaderMap, file: &Path) -> Result<String, Problem> {
        let refused = |why: &str| {
            let basic = HeaderValue::from_static("Basic realm=\"rosterd jones\", charset=\"UTF-8\"");
            Problem::new(StatusCode::UNAUTHORIZED, why).header(header::WWW_AUTHENTICATE, basic)
        };
        let (user, password) = credentials(headers).ok_or_else(|| refused("a user and a password are needed"))?;
        let users = read_users(file).map_err(|why| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why))?;
        let is_known = users.contains_key(&user);
        // For an unknown user the hash of another one, so that it takes the same time.
        let Some(hash) = users.get(&user).or_else(|| users.values().max()).cloned() else {
            return Err(refused("there is no such user, or the password is wrong"));
        };
        let known = (hash.clone(), sha256(password.as_bytes()));
        let right = || self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if is_known && right().get(&user) == Some(&known) {
            return Ok(user);
        }
        let busy = |_| Problem::unreached("this server is busy: too many passwords are being compared");
        let _asked = self.asked.try_acquire().map_err(busy)?;
        let permit = Arc::clone(&self.comparisons).acquire_owned().await;
        let comparison = spawn_blocking(move || {
            // A comparison cannot be stopped, so it counts to its end.
            let _permit = permit;
            bcrypt::verify(password, &hash)
        });
        if !comparison.await.is_ok_and(Result::unwrap_or_default) || !is_known {
            return Err(refused("there is no such user, or the password is wrong"));
        }
        let mut right = right();
        if right.len() >= MAX_REMEMBERED {
            right.clear();
        }
        right.insert(user.clone(), known);
        Ok(user)
    }

    /// Whether a user may write a service. Without `editors`, whoever may read it may.
    pub fn may_edit(&self, user: Option<&str>, service: &str) -> bool {
        let is_editor = || is_granted(self.config.editors.as_ref(), user, service);
        self.config.write && self.may_view(user, service) && is_editor()
    }

    /// Whether a user may read a service. Who may write it may read it.
    pub fn may_view(&self, user: Option<&str>, service: &str) -> bool {
        let editors = self.config.editors.as_ref();
        let is_editor = || editors.is_some() && is_granted(editors, user, service);
        is_granted(self.config.viewers.as_ref(), user, service) || is_editor()
    }
}

/// Whether a user is named for a service. Without grants, everybody is.
fn is_granted(grants: Option<&Grants>, user: Option<&str>, service: &str) -> bool {
    let Some(grants) = grants else { return true };
    let covers = |pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => service.starts_with(prefix),
        None => service == pattern,
    };
    let names = |users: &[String]| users.iter().any(|name| name == "*" || Some(name.as_str()) == user);
    grants.iter().any(|(pattern, users)| covers(pattern) && names(users))
}

/// The user that a proxy names.
fn user_by_header(headers: &HeaderMap, name: &str, proxies: &[IpAddr], peer: IpAddr) -> Result<String, Problem> {
    if !proxies.contains(&peer) {
        let why = format!("{peer} is not one of the `proxies` in [jones]: use the address of the proxy");
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    let mut values = headers.get_all(name).iter();
    let user = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().map(str::trim).filter(|user| !user.is_empty()),
        // One of them is from the client.
        (Some(_), Some(_)) => {
            return Err(Problem::new(StatusCode::BAD_REQUEST, format!("more than one header {name}")));
        }
        (None, _) => None,
    };
    let missing = || Problem::new(StatusCode::UNAUTHORIZED, format!("the proxy has set no user in the header {name}"));
    user.map(str::to_owned).ok_or_else(missing)
}

/// The user and the password of basic authentication (RFC 7617).
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// The hashes by user, as `htpasswd -B` writes them. The file is read each time, so that a change needs no restart.
fn read_users(file: &Path) -> Result<HashMap<String, String>, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|why| format!("the users in {shown} cannot be read: {why}"))?;
    let mut users = HashMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
        let (user, hash) = line.trim().split_once(':').unwrap_or_default();
        if user.is_empty() || !hash.starts_with("$2") {
            return Err(format!("{shown}, line {}: not USER:HASH with bcrypt: write it with htpasswd -B", at + 1));
        }
        users.insert(user.to_owned(), hash.to_owned());
    }
    Ok(users)
}
