//! Any text as a Go template: it is converted to valid Tera, and what is left is reported.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rosterd::fuzzing::migrate::any(bytes));
