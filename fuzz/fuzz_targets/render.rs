//! Any members, through the shipped haproxy template: one line for each, and no other.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rosterd::fuzzing::render::any(bytes));
