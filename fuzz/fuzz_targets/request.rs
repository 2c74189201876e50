//! Any bytes as a request to a running agent: it is parsed or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rosterd::fuzzing::request::any(bytes));
