//! Any nodes in every format: each is decoded or refused, and no text of a member can end a line.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rosterd::fuzzing::payload::any(bytes));
