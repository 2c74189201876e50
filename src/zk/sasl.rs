//! SASL DIGEST-MD5 (RFC 2831) for servers with a `DigestLoginModule` in their JAAS configuration.
//!
//! Servers offer one realm, `zk-sasl-md5`, and `qop=auth`. The password is never sent, and the server proves that it
//! knows the password too. The mechanism requires MD5; where that is too weak, add TLS (`zks://`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rustls::crypto::ring;

#[cfg(test)]
mod tests;

/// The `digest-uri`: service and host, which are the same for every ZooKeeper server.
const URI: &str = "zookeeper/zk-sasl-md5";

/// The length of the client nonce in bytes.
const NONCE: usize = 16;

/// The longest challenge in bytes (RFC 2831, section 2.1.1).
const MAX_CHALLENGE: usize = 2048;

/// One exchange with one server.
#[derive(Debug)]
pub struct DigestMd5<'a> {
    /// `user:password`.
    secret: &'a [u8],
    uri: &'a str,
    nonce: String,
    /// The `rspauth` value that the server must send, after the response.
    proof: Mutex<Option<String>>,
}

impl<'a> DigestMd5<'a> {
    /// A new exchange for `user:password`.
    ///
    /// # Errors
    /// The system provides no random numbers.
    pub fn new(secret: &'a [u8]) -> Result<Self, String> {
        let mut random = [0; NONCE];
        let filled = ring::default_provider().secure_random.fill(&mut random);
        filled.map_err(|_| "SASL: the system provides no random numbers")?;
        let nonce = u128::from_ne_bytes(random);
        Ok(Self { secret, uri: URI, nonce: format!("{nonce:032x}"), proof: Mutex::new(None) })
    }

    /// The response to a challenge; `None` when the server is authenticated and the exchange is complete.
    ///
    /// # Errors
    /// The challenge cannot be answered, or the server's proof is wrong.
    pub fn respond(&self, challenge: &[u8]) -> Result<Option<Vec<u8>>, String> {
        if challenge.len() > MAX_CHALLENGE {
            return Err(format!("the challenge is too long: {} bytes", challenge.len()));
        }
        let text = std::str::from_utf8(challenge).map_err(|_| "the challenge is not UTF-8")?;
        let directives = parse_directives(text).ok_or_else(|| format!("malformed challenge: {text:?}"))?;
        let mut proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        match (proof.take(), directives.get("rspauth")) {
            (Some(proof), Some(given)) if proof == *given => Ok(None),
            (Some(_), Some(_)) => Err("the server does not know the password".into()),
            (Some(_), None) => Err("the server did not prove that it knows the password".into()),
            (None, Some(_)) => Err("unexpected rspauth from the server".into()),
            (None, None) => {
                let (response, expected) = self.answer(&directives)?;
                *proof = Some(expected);
                Ok(Some(response))
            }
        }
    }

    /// The response to the first challenge, and the proof to expect from the server.
    fn answer(&self, directives: &BTreeMap<String, String>) -> Result<(Vec<u8>, String), String> {
        let get = |name: &str| directives.get(name).map(String::as_str);
        let nonce = get("nonce").ok_or("the challenge has no nonce")?;
        if get("algorithm") != Some("md5-sess") {
            return Err("the challenge is not a DIGEST-MD5 challenge".into());
        }
        if !get("qop").is_none_or(|offered| offered.split(',').any(|qop| qop.trim() == "auth")) {
            return Err(format!("unsupported qop={}", get("qop").unwrap_or_default()));
        }
        let utf8 = get("charset").is_some_and(|charset| charset.eq_ignore_ascii_case("utf-8"));
        let realm = get("realm").unwrap_or_default();
        let at = self.secret.iter().position(|byte| *byte == b':').ok_or("the credentials have no user")?;
        let (user, password) = (&self.secret[..at], &self.secret[at + 1..]);
        let parts = Parts { user, password, realm, nonce, cnonce: &self.nonce, uri: self.uri };
        let user = std::str::from_utf8(user).map_err(|_| "the user name is not UTF-8")?;
        let text = format!(
            "{}username={}{}{},nonce={},cnonce={},nc=00000001,qop=auth,digest-uri={},response={}",
            if utf8 { "charset=utf-8," } else { "" },
            quoted(user),
            if realm.is_empty() { "" } else { ",realm=" },
            if realm.is_empty() { String::new() } else { quoted(realm) },
            quoted(nonce),
            quoted(&self.nonce),
            quoted(self.uri),
            parts.digest("AUTHENTICATE"),
        );
        Ok((text.into_bytes(), parts.digest("")))
    }
}

/// The inputs of a digest.
struct Parts<'a> {
    user: &'a [u8],
    password: &'a [u8],
    realm: &'a str,
    nonce: &'a str,
    cnonce: &'a str,
    uri: &'a str,
}

impl Parts<'_> {
    /// The response value (RFC 2831, section 2.1.2.1); with an empty `method` the proof of the server (2.1.3).
    fn digest(&self, method: &str) -> String {
        let inner = [&latin(self.user)[..], b":", &latin(self.realm.as_bytes()), b":", &latin(self.password)].concat();
        let outer = [&md5::compute(inner).0[..], format!(":{}:{}", self.nonce, self.cnonce).as_bytes()].concat();
        let a1 = hex(&outer);
        let a2 = hex(format!("{method}:{}", self.uri).as_bytes());
        hex(format!("{a1}:{}:00000001:{}:auth:{a2}", self.nonce, self.cnonce).as_bytes())
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", md5::compute(bytes))
}

/// A text in ISO 8859-1 if it can be represented, as the RFC requires; else unchanged.
fn latin(text: &[u8]) -> Vec<u8> {
    let latin = std::str::from_utf8(text).ok();
    let latin = latin.and_then(|text| text.chars().map(|char| u8::try_from(u32::from(char)).ok()).collect());
    latin.unwrap_or_else(|| text.to_vec())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The directives of a challenge: `name=value` or `name="value"`, separated by commas. If a directive is repeated, the
/// first one counts (a server may offer several realms). `None` if the text is malformed.
fn parse_directives(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    loop {
        text = text.trim_start_matches([',', ' ', '\t', '\r', '\n']);
        if text.is_empty() {
            return Some(found);
        }
        let (name, rest) = text.split_once('=')?;
        let (value, rest) = if let Some(rest) = rest.strip_prefix('"') {
            string(rest)?
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (rest[..end].trim_end().to_owned(), &rest[end..])
        };
        if !(rest.trim_start().is_empty() || rest.trim_start().starts_with(',')) {
            return None;
        }
        found.entry(name.trim().to_ascii_lowercase()).or_insert(value);
        text = rest;
    }
}

/// The value of a quoted string after its opening quote, and the rest of the text.
fn string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            char => value.push(char),
        }
    }
    None
}
