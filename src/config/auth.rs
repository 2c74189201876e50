//! `[registry] auth`: credentials, each in a file of its own.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::RegistryUrl;
use super::keys::AUTH;
use super::problem::ValueError;
use super::table::{Table, Value};
use super::web;
use crate::model::digest::digest_bytes;

/// The scheme of credentials that are sent with SASL instead of `addAuth`.
const SASL: &str = "sasl";

/// The scheme of a header of requests for a web object.
const HEADER: &str = "header";

/// The maximum size of a credentials file, in bytes.
const MAX_AUTH: u64 = 4096;

/// A credential.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Auth {
    /// `digest`, `sasl` for SASL with DIGEST-MD5, or `header` for a web object.
    pub scheme: String,
    /// The file of the secret.
    pub file: PathBuf,
    /// `user:password`, or `Name: value`. `Debug` omits it.
    #[serde(serialize_with = "digest")]
    pub secret: Vec<u8>,
}

/// Replaces the secret by a digest when configurations are compared.
fn digest<S: Serializer>(secret: &[u8], to: S) -> Result<S::Ok, S::Error> {
    digest_bytes(secret).serialize(to)
}

impl Auth {
    /// Reads the `user:password` of digest authentication from a file.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn digest(file: &Path) -> Result<Self, ValueError> {
        Ok(Self { scheme: "digest".to_owned(), file: file.to_owned(), secret: secret(file, false)? })
    }

    /// Whether it is sent with SASL instead of `addAuth`.
    pub fn is_sasl(&self) -> bool {
        self.scheme == SASL
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("scheme", &self.scheme).field("file", &self.file).finish_non_exhaustive()
    }
}

/// `auth = [{ … }]`.
pub fn auths(value: &Value<'_>, url: Option<&RegistryUrl>) -> Vec<Auth> {
    let example = "[{ scheme = \"digest\", file = \"/etc/rosterd/zk.auth\" }]";
    let items = value.items(example).unwrap_or_default();
    let mut auths: Vec<Auth> = Vec::new();
    for item in &items {
        let Some(auth) = item.table(&[&AUTH], example).and_then(|table| auth(&table, url)) else { continue };
        if auth.is_sasl() && auths.iter().any(Auth::is_sasl) {
            item.reject(ValueError::new("a registry can have only one sasl credential", "remove one of them"));
        }
        auths.push(auth);
    }
    auths
}

/// Reads one credential. No message contains its secret.
fn auth(table: &Table<'_>, url: Option<&RegistryUrl>) -> Option<Auth> {
    let schemes: &[_] = match url {
        Some(RegistryUrl::Web(_)) => &[(HEADER, HEADER)],
        _ => &[("digest", "digest"), (SASL, SASL)],
    };
    let scheme = table.require("scheme", "\"digest\"").and_then(|value| value.choice(schemes));
    let value = table.require("file", "\"/etc/rosterd/zk.auth\"")?;
    let file = value.path("\"/etc/rosterd/zk.auth\"")?;
    let secret = value.accept(secret(&file, scheme == Some(HEADER)))?;
    Some(Auth { scheme: scheme?.to_owned(), file, secret })
}

/// Reads a credentials file: one line. Other users must not have access to the file.
fn secret(file: &Path, is_header: bool) -> Result<Vec<u8>, ValueError> {
    let shown = file.display();
    let form = if is_header { "Name: value" } else { "user:password" };
    let unread = |error: std::io::Error| {
        let hint = format!("create the file with one line, {form}, readable only by rosterd's user");
        ValueError::new(format!("{shown} cannot be read: {error}"), hint)
    };
    let opened = File::open(file).map_err(unread)?;
    // The mode of the open file. The path can refer to another file by now.
    private(file, "contains a password", &opened.metadata().map_err(unread)?)?;
    let mut bytes = Vec::new();
    opened.take(MAX_AUTH + 1).read_to_end(&mut bytes).map_err(unread)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let is_valid = line.iter().position(|byte| *byte == b':').is_some_and(|user| user > 0) && !line.contains(&b'\n');
    if !is_valid || line.len() as u64 > MAX_AUTH || is_header && web::header(line).is_none() {
        let message = format!("{shown} does not consist of one line with {form}");
        return Err(ValueError::new(message, format!("write one line, {form}")));
    }
    Ok(line.to_vec())
}

/// Checks that other users have no access to a secret. A group may read it, like `ssl-cert` on Debian and the group of
/// a Secret in Kubernetes.
pub fn private(file: &Path, what: &str, meta: &Metadata) -> Result<(), ValueError> {
    let (mode, shown) = (meta.mode() & 0o7777, file.display());
    if mode & 0o027 == 0 {
        return Ok(());
    }
    let message = format!("{shown} {what}, but others may read or write it (mode {mode:04o})");
    Err(ValueError::new(message, format!("chmod 640 {shown}, or defaultMode: 0440 on a Kubernetes Secret")))
}
