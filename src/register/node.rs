//! The node of a service: its name, its data and its access control list.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::config::{Auth, ServiceConfig, ServiceFormat};
use crate::model::registration::{NodeId, NodeName, NodeSpec};
use crate::model::service_data::ServiceData;
use crate::zk::{Acl, PERMS_ALL, PERMS_READ};

#[cfg(test)]
mod tests;

/// When and by which process a node was registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The process.
    pub pid: u32,
    /// The local time, as `2026-11-20 10:07:29`.
    pub created: String,
    /// The time in milliseconds since 1970.
    pub created_ms: u64,
}

/// The node of a service. `extra` is the output of its `data_cmd`.
pub fn spec(config: &ServiceConfig, extra: &ServiceData, origin: &Origin) -> NodeSpec {
    let host = config.host.as_deref().unwrap_or_default();
    let data = config.data.clone().with(extra.entries().to_vec());
    let (name, bytes, volatile): (_, _, &'static [&'static str]) = match config.format {
        ServiceFormat::Nextdoor => {
            let first = ServiceData::default().with_value("pid", &origin.pid.into());
            let first = first.with_value("created", &origin.created.as_str().into());
            let is_own = |key| !data.entries().iter().any(|(known, _)| known == key);
            let volatile: &[_] = match (is_own("pid"), is_own("created")) {
                (true, true) => &["pid", "created"],
                (true, false) => &["pid"],
                (false, true) => &["created"],
                (false, false) => &[],
            };
            let all = first.with(data.entries().to_vec());
            (NodeName::Fixed(format!("{host}:{}", config.port)), all.to_json(), volatile)
        }
        ServiceFormat::Serverset => {
            let place = json!({ "host": host, "port": config.port });
            let all = ServiceData::default().with_value("serviceEndpoint", &place);
            let all = all.with_value("additionalEndpoints", &json!({})).with_value("status", &"ALIVE".into());
            (sequential("member_", config), all.with(data.entries().to_vec()).to_json(), &[])
        }
        ServiceFormat::Nerve => {
            let all = ServiceData::default().with_value("host", &host.into()).with_value("port", &config.port.into());
            let all = all.with_value("name", &host.into());
            (sequential(&format!("{host}_"), config), all.with(data.entries().to_vec()).to_json(), &[])
        }
        ServiceFormat::Curator => {
            let id = curator_id(host, config.port);
            let payload = if data.entries().is_empty() { "null".to_owned() } else { data.to_json() };
            let all = ServiceData::default().with_value("name", &config.path.name().into());
            let all = all.with_value("id", &id.as_str().into()).with_value("address", &host.into());
            let all = all.with_value("port", &config.port.into()).with_value("sslPort", &Value::Null);
            let all = all.with([("payload".to_owned(), payload)]);
            let all = all.with_value("registrationTimeUTC", &origin.created_ms.into());
            let all = all.with_value("serviceType", &"DYNAMIC".into()).with_value("uriSpec", &Value::Null);
            (NodeName::Fixed(id), all.to_json(), &["registrationTimeUTC"])
        }
    };
    let id = NodeId { directory: config.path.clone(), name };
    NodeSpec { id, data: Arc::from(bytes.into_bytes()), volatile }
}

fn sequential(prefix: &str, config: &ServiceConfig) -> NodeName {
    let host = config.host.clone().unwrap_or_default();
    NodeName::Sequential { prefix: prefix.to_owned(), host, port: config.port }
}

/// An id in the form of a UUID that is the same after each restart.
fn curator_id(host: &str, port: u16) -> String {
    let digest = format!("{:x}", md5::compute(format!("{host}:{port}")));
    let part = |from, to| digest.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// The access control list of a service's directory and node: as kazoo makes it, open without credentials, else writable
/// with them and readable by everyone.
pub fn acl(auth: &[Auth]) -> Vec<Acl> {
    let anyone = |perms| Acl { perms, scheme: "world".into(), id: "anyone".to_owned() };
    match auth.iter().find_map(owner) {
        Some(owner) => vec![owner, anyone(PERMS_READ)],
        None => open_acl(),
    }
}

/// The access control list of the nodes above a service's directory.
pub fn open_acl() -> Vec<Acl> {
    vec![Acl { perms: PERMS_ALL, scheme: "world".into(), id: "anyone".to_owned() }]
}

/// The entry for a credential: the user and, for digest, the hash of user and password
/// (`DigestAuthenticationProvider.generateDigest`).
fn owner(auth: &Auth) -> Option<Acl> {
    let text = std::str::from_utf8(&auth.secret).ok()?;
    let (user, _) = text.split_once(':')?;
    if auth.is_sasl() {
        return Some(Acl { perms: PERMS_ALL, scheme: "sasl".into(), id: user.to_owned() });
    }
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &auth.secret);
    Some(Acl { perms: PERMS_ALL, scheme: "digest".into(), id: format!("{user}:{}", STANDARD.encode(hash)) })
}
