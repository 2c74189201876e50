//! Access control lists of a service's nodes, and of its history, which its writers can add to and not change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::zk::{Acl, PERMS_ALL, PERMS_READ};

#[cfg(test)]
mod tests;

/// `ZooDefs.Perms`.
const PERMS_WRITE: i32 = 2;
const PERMS_CREATE: i32 = 4;

/// Whether a server has masked the hash of an entry, because this session may not administrate the node. A copy of such
/// a list would lock out the owner.
pub fn is_masked(acl: &[Acl]) -> bool {
    acl.iter().any(|entry| entry.scheme == "digest" && entry.id.ends_with(":x"))
}

fn anyone(perms: i32) -> Acl {
    Acl { perms, scheme: "world".into(), id: "anyone".to_owned() }
}

/// Whether everybody may write.
fn is_open(acl: &[Acl]) -> bool {
    acl.iter().any(|entry| entry.scheme == "world" && entry.perms & PERMS_WRITE != 0)
}

/// The list of a service's history. Writers of its `conf` may add an entry, everybody may read, and only the auditor may
/// delete. Where everybody may write the `conf`, the list is the same as that of the `conf`.
pub fn history(conf: &[Acl], auditor: Option<&Acl>) -> Vec<Acl> {
    if is_open(conf) && auditor.is_none() {
        return conf.to_vec();
    }
    let writers = conf.iter().filter(|entry| entry.perms & PERMS_WRITE != 0);
    let writers = writers.map(|entry| Acl { perms: PERMS_CREATE | PERMS_READ, ..entry.clone() });
    let auditor = auditor.map(|entry| Acl { perms: PERMS_ALL, ..entry.clone() });
    let readers = (!is_open(conf)).then(|| anyone(PERMS_READ));
    writers.chain(auditor).chain(readers).collect()
}

/// The list of an entry in a history with this list: nobody may change it.
pub fn entry(history: &[Acl]) -> Vec<Acl> {
    if is_open(history) { history.to_vec() } else { vec![anyone(PERMS_READ)] }
}

/// The credentials of Jones for a password: the line for the file of `auth`, and the id in its access control lists.
/// Jones hashes the password before it hands it to ZooKeeper, which hashes it again.
pub fn jones_credential(password: &str) -> (String, String) {
    let hash = |text: &str| {
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        format!("Jones:{}", STANDARD.encode(digest))
    };
    let line = hash(&format!("Jones:{password}"));
    let id = hash(&line);
    (line, id)
}

/// A list in the form of ZooKeeper's own command line.
pub fn text(acl: &[Acl]) -> String {
    let letters = [('c', PERMS_CREATE), ('d', 8), ('r', PERMS_READ), ('w', PERMS_WRITE), ('a', 16)];
    let perms =
        |perms: i32| letters.iter().filter(|(_, bit)| perms & bit != 0).map(|(letter, _)| letter).collect::<String>();
    let entries = acl.iter().map(|entry| format!("{}:{}:{}", entry.scheme, entry.id, perms(entry.perms)));
    entries.collect::<Vec<_>>().join(",")
}
