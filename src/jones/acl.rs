//! Access control lists of a service's nodes, and of its history, which its writers can add to and not change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::zk::{Acl, PERMS_ALL, PERMS_READ};

#[cfg(test)]
mod tests;

/// `ZooDefs.Perms`.
const PERMS_WRITE: i32 = 2;
const PERMS_CREATE: i32 = 4;
const PERMS_DELETE: i32 = 8;
const PERMS_ADMIN: i32 = 16;

/// Whether a server has masked the hash of an entry, because this session may not administrate the node. A copy of such
/// a list would lock out the owner.
pub fn is_masked(acl: &[Acl]) -> bool {
    acl.iter().any(|entry| entry.scheme == "digest" && entry.id.ends_with(":x"))
}

fn anyone(perms: i32) -> Acl {
    Acl { perms, scheme: "world".into(), id: "anyone".to_owned() }
}

/// Whether somebody may write.
pub fn is_writable(acl: &[Acl]) -> bool {
    acl.iter().any(|entry| entry.perms & PERMS_WRITE != 0)
}

/// Whether the history with this list has an auditor.
pub fn is_audited(history: &[Acl]) -> bool {
    !is_open(history) && history.iter().any(|entry| entry.perms & PERMS_DELETE != 0)
}

/// Whether everybody may write.
fn is_open(acl: &[Acl]) -> bool {
    acl.iter().any(|entry| entry.scheme == "world" && entry.perms & PERMS_WRITE != 0)
}

/// The list of a service's history. Writers of its `conf` may add an entry, and everybody may read. With an auditor, only
/// that one may delete entries and change the list; without one, writers may change the list, so that it can be extended.
/// Where everybody may write the `conf`, and there is no auditor, the list is that of the `conf`.
pub fn history(conf: &[Acl], auditor: Option<&Acl>) -> Vec<Acl> {
    if is_open(conf) && auditor.is_none() {
        return conf.to_vec();
    }
    let auditor = auditor.map(|entry| Acl { perms: PERMS_ALL, ..entry.clone() });
    let readers = (!is_open(conf)).then(|| anyone(PERMS_READ));
    let writers = writers(conf, auditor.is_some());
    writers.into_iter().chain(auditor).chain(readers).collect()
}

/// The entries in a history for those of these that may write.
fn writers(entries: &[Acl], is_audited: bool) -> Vec<Acl> {
    let perms = PERMS_CREATE | PERMS_READ | if is_audited { 0 } else { PERMS_ADMIN };
    let writers = entries.iter().filter(|entry| entry.perms & PERMS_WRITE != 0);
    writers.map(|entry| Acl { perms, ..entry.clone() }).collect()
}

/// A list with these entries in place of those for the same ids.
pub fn extended(list: &[Acl], new: &[Acl]) -> Vec<Acl> {
    let is_other = |entry: &&Acl| !new.iter().any(|new| (&new.scheme, &new.id) == (&entry.scheme, &entry.id));
    list.iter().filter(is_other).chain(new).cloned().collect()
}

/// The list of a history for which more ids may write the `conf`.
pub fn extended_history(history: &[Acl], granted: &[Acl]) -> Vec<Acl> {
    if is_open(history) {
        return history.to_vec();
    }
    extended(history, &writers(granted, is_audited(history)))
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
    let letters = [('c', PERMS_CREATE), ('d', PERMS_DELETE), ('r', PERMS_READ), ('w', PERMS_WRITE), ('a', PERMS_ADMIN)];
    let perms =
        |perms: i32| letters.iter().filter(|(_, bit)| perms & bit != 0).map(|(letter, _)| letter).collect::<String>();
    let entries = acl.iter().map(|entry| format!("{}:{}:{}", entry.scheme, entry.id, perms(entry.perms)));
    entries.collect::<Vec<_>>().join(",")
}
