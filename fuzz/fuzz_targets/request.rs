//! Any bytes as a request to a running agent: it is understood, or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzz/request.rs"]
mod request;

fuzz_target!(|bytes: &[u8]| request::any(bytes));
