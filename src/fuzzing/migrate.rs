//! Any text as a Go template and as a configuration of consul-template.

use crate::migrate::{any_configuration, any_template};

/// Any bytes are converted or refused, and each part that is not converted is reported.
///
/// # Panics
/// If that does not hold.
pub fn any(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    any_configuration(&text);
    any_template(&text);
}
