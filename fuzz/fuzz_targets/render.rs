//! Any members in the shipped haproxy template: exactly one line for each.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rosterd::fuzzing::render::any(bytes));
