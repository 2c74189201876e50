//! The paths of the pages. Those of environments and hosts are Jones's own.

use std::fmt::Write as _;

/// What is wrong with each service.
pub const CHECK: &str = "/check";

/// Names as segments of a path (RFC 3986, section 2.3).
fn path(names: &[&str]) -> String {
    let mut out = String::new();
    for name in names {
        out.push('/');
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// The page of an environment.
pub fn env(service: &str, env: &str) -> String {
    let names = ["service", service].into_iter().chain(env.split('/').filter(|name| !name.is_empty()));
    path(&names.collect::<Vec<_>>()) + "/"
}

/// The page of a host.
pub fn host(service: &str, host: &str) -> String {
    path(&["service", service, "association", host])
}

/// The page of all revisions.
pub fn history(service: &str) -> String {
    path(&["history", service])
}

/// The page of a revision.
pub fn revision(service: &str, revision: u64) -> String {
    path(&["history", service, &format!("r{revision}")])
}

/// The page of canaries and pins.
pub fn frozen(service: &str) -> String {
    path(&["frozen", service])
}

/// The review of a change.
pub fn review(service: &str) -> String {
    path(&["review", service])
}
